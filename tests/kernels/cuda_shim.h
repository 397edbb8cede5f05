// Runs CUDA kernels on the CPU: include this, then the .cu files, then a table of the kernels.
//
// The threads of a block are fibers, run in turn until each has ended or waits at a barrier or a
// shuffle; blocks run one after the other, every second one with its threads in reverse order. That
// finds wrong indices, missing or unequal barriers and wrong arguments; it does not find races
// between warps or blocks. One rule is stricter than a GPU's: who has returned is still waited for.
#define MINIGRAD_CPU_SHIM
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct Dim3 { unsigned x, y, z; };
static Dim3 gridDim, blockDim, blockIdx, threadIdx;

using std::cos, std::exp, std::log, std::max, std::min, std::pow, std::sin, std::sqrt;
inline float max(float a, float b) { return std::fmax(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
template <typename A> A rsqrt(A x) { return 1 / sqrt(x); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
inline float infinity() { return INFINITY; }

struct Half {  // IEEE float16, rounded to nearest even as the GPU does
    unsigned short bits;
    Half() = default;
    Half(float value) {
        int exponent;
        float size = std::fabs(value), fraction = std::frexp(size, &exponent);
        bits = size != size ? 0x7e00 : size >= 65520 ? 0x7c00
             : size < 0x1p-14f ? (int)std::rint(size * 0x1p24f)
                               : ((exponent + 13) << 10) + (int)std::rint(fraction * 2048);
        bits |= std::signbit(value) << 15;
    }
    operator float() const {
        int exponent = bits >> 10 & 31, fraction = bits & 1023;
        float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                   : exponent ? std::ldexp(1024.f + fraction, exponent - 25) : fraction * 0x1p-24f;
        return bits >> 15 ? -size : size;
    }
};

struct Bfloat16 {  // the upper half of a float32, rounded to nearest even as the GPU does
    unsigned short bits;
    Bfloat16() = default;
    Bfloat16(float value) {
        unsigned word;
        std::memcpy(&word, &value, 4);
        bits = value != value ? 0x7fff : (word + 0x7fff + (word >> 16 & 1)) >> 16;
    }
    operator float() const {
        unsigned word = bits << 16;
        float value;
        std::memcpy(&value, &word, 4);
        return value;
    }
};

struct Fiber {
    jmp_buf place;  // where it goes on; _setjmp and _longjmp cost no system call
    bool alive = false, done;
    std::vector<char> stack = std::vector<char>(64 << 10);
};
struct Barrier { unsigned members, arrived, round; };
static std::vector<Fiber> fibers(256);
static Barrier block_barrier, warp_barriers[8];
static std::function<void()> body;
static jmp_buf scheduler;
static unsigned current;  // the fiber that runs
static bool progress;     // whether in this turn a fiber has ended or a barrier has opened

__attribute__((noinline)) static void leave(Fiber& fiber) {
    if (!_setjmp(fiber.place)) _longjmp(scheduler, 1);
}
static void run_fiber() {  // a thread of one block after the other
    for (;;) {
        body();
        fibers[current].done = progress = true;
        leave(fibers[current]);
    }
}
__attribute__((noinline)) static void go_on(Fiber& fiber) {  // until it leaves
    if (_setjmp(scheduler)) return;
    if (fiber.alive) _longjmp(fiber.place, 1);
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.data();
    context.uc_stack.ss_size = fiber.stack.size();
    makecontext(&context, run_fiber, 0);
    fiber.alive = true;
    setcontext(&context);
}
static void wait_at(Barrier& barrier) {
    unsigned round = barrier.round, self = current;
    if (++barrier.arrived == barrier.members) {
        barrier = {barrier.members, 0, round + 1};
        progress = true;
    }
    while (barrier.round == round) leave(fibers[self]);
}
inline void __syncthreads() { wait_at(block_barrier); }
template <typename A> A __shfl_xor_sync(unsigned, A value, int lanes) {
    static A slots[256];
    unsigned self = current;
    slots[self] = value;
    wait_at(warp_barriers[self / 32]);
    A other = slots[self ^ lanes];
    wait_at(warp_barriers[self / 32]);  // nobody writes its slot again before it has been read
    return other;
}
static bool run_block(unsigned count, bool backwards) {
    block_barrier = {count, 0, 0};
    for (Barrier& barrier : warp_barriers) barrier = {32, 0, 0};
    for (unsigned i = 0; i < count; ++i) fibers[i].done = false;
    unsigned running = count;
    for (progress = true; running && progress;) {
        progress = false;
        for (unsigned i = 0; i < count; ++i) {
            current = backwards ? count - 1 - i : i;
            if (fibers[current].done) continue;
            threadIdx = {current % blockDim.x, current / blockDim.x, 0};
            go_on(fibers[current]);
            running -= fibers[current].done;
        }
    }
    for (Fiber& fiber : fibers) fiber.alive &= running == 0;  // the others will not go on
    return running == 0;
}

struct Kernel {
    std::function<void(void**)> call;
    std::vector<int> kinds;  // of each parameter: its size; for a double 'd'; for a pointer,
};                           // minus the size of what it points to
template <typename A> const int kind_of = sizeof(A);
template <typename A> const int kind_of<A*> = -(int)sizeof(A);
template <> const int kind_of<double> = 'd';
template <typename... A, size_t... I>
Kernel wrap_with(void (*kernel)(A...), std::index_sequence<I...>) {
    return {[=](void** args) { kernel(*(A*)args[I]...); }, {kind_of<A>...}};
}
template <typename... A> Kernel wrap(void (*kernel)(A...)) {
    return wrap_with(kernel, std::index_sequence_for<A...>());
}
extern std::map<std::string, Kernel> kernels;  // the table
extern "C" int parameter_kind(const char* name, int i) {  // 0 where there is none
    auto& kinds = kernels.at(name).kinds;
    return i < (int)kinds.size() ? kinds[i] : 0;
}
extern "C" { unsigned most_blocks = ~0u; }  // of a grid of more, only the last one runs
extern "C" bool launch(const char* name, unsigned gx, unsigned gy, unsigned bx, unsigned by,
                       void** args) {  // false where some thread never came to a barrier
    gridDim = {gx, gy, 1};
    blockDim = {bx, by, 1};
    const auto& call = kernels.at(name).call;
    body = [&] { call(args); };
    unsigned long long blocks = (unsigned long long)gx * gy;
    bool all = blocks <= most_blocks;
    static bool down = false;  // grids run upwards and downwards in turn: the order must not matter
    down = !down && all;
    for (unsigned long long i = all ? 0 : blocks - 1; i < blocks; ++i) {
        unsigned long long block = down ? blocks - 1 - i : i;
        blockIdx = {(unsigned)(block % gx), (unsigned)(block / gx), 0};
        if (!run_block(bx * by, (blockIdx.x + blockIdx.y) % 2)) return false;
    }
    return true;
}
