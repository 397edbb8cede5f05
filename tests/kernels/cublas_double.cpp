// libcublas without a GPU: the functions that kernels/cuda/cublas.py calls, under their names, as
// plain loops over column-major matrices, exactly as the arguments say.
//
// It refuses what cuBLAS refuses (a leading dimension below the rows, a mixture of types, a batch
// of negative size), and it forgets the workspace when the stream is set, as cuBLAS does; a product
// without a workspace fails. TF32 rounds the operands to 10 bits of mantissa, to nearest even.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, INTERNAL_ERROR = 14, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };

struct Handle { void *stream, *workspace; size_t bytes; int math; };
static thread_local std::string journal;  // a line a call, for the tests

static size_t size_of(int type) { return type == R_64F ? 8 : type == R_32F ? 4 : 2; }

static double load(const char* at, int type) {
    if (type == R_64F) { double x; memcpy(&x, at, 8); return x; }
    if (type == R_32F) { float x; memcpy(&x, at, 4); return x; }
    if (type == R_16F) { _Float16 x; memcpy(&x, at, 2); return x; }
    uint16_t half; memcpy(&half, at, 2);
    uint32_t bits = (uint32_t)half << 16; float x; memcpy(&x, &bits, 4);
    return x;
}

static float rounded(float x, int dropped) {  // the lowest bits of its mantissa
    uint32_t bits; memcpy(&bits, &x, 4);
    if ((bits & 0x7f800000) == 0x7f800000) return x;
    bits += (1u << (dropped - 1)) - 1 + (bits >> dropped & 1);
    bits &= ~0u << dropped; memcpy(&x, &bits, 4);
    return x;
}

static void store(char* at, int type, double value) {
    if (type == R_64F) { memcpy(at, &value, 8); return; }
    float x = (float)value;
    if (type == R_32F) { memcpy(at, &x, 4); return; }
    if (type == R_16F) { _Float16 half = (_Float16)x; memcpy(at, &half, 2); return; }
    x = rounded(x, 16); uint32_t bits; memcpy(&bits, &x, 4);
    uint16_t half = bits >> 16; memcpy(at, &half, 2);
}

// op(X), rows by columns, as numbers of the type in which they are multiplied
template <typename Sum>
static std::vector<Sum> operand(const char* x, int type, int64_t ld, int op, int64_t rows,
                                int64_t columns, bool tf32) {
    std::vector<Sum> y(rows * columns);
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++) {
            Sum value = (Sum)load(x + (op ? i * ld + j : j * ld + i) * size_of(type), type);
            y[j * rows + i] = tf32 ? rounded((float)value, 13) : value;
        }
    return y;
}

template <typename Sum>
static void multiply(int opa, int opb, int64_t m, int64_t n, int64_t k, Sum alpha, const char* a,
                     int ta, int64_t lda, const char* b, int tb, int64_t ldb, Sum beta, char* c,
                     int tc, int64_t ldc, bool tf32) {
    std::vector<Sum> left = operand<Sum>(a, ta, lda, opa, m, k, tf32), sum(m);
    std::vector<Sum> right = operand<Sum>(b, tb, ldb, opb, k, n, tf32);
    for (int64_t j = 0; j < n; j++) {
        sum.assign(m, 0);
        for (int64_t l = 0; l < k; l++)
            for (int64_t i = 0; i < m; i++) sum[i] += left[l * m + i] * right[j * k + l];
        for (int64_t i = 0; i < m; i++) {
            char* at = c + (j * ldc + i) * size_of(tc);
            Sum before = beta == 0 ? 0 : beta * (Sum)load(at, tc);  // beta = 0 does not read c
            store(at, tc, alpha * sum[i] + before);
        }
    }
}

static int gemm(Handle* handle, int opa, int opb, int64_t m, int64_t n, int64_t k,
                const void* alpha, const void* a, int ta, int64_t lda, int64_t sa, const void* b,
                int tb, int64_t ldb, int64_t sb, const void* beta, void* c, int tc, int64_t ldc,
                int64_t sc, int64_t batch, int compute, int algo) {
    if (!handle) return NOT_INITIALIZED;
    if (!handle->workspace) return INTERNAL_ERROR;
    bool low = (opa | opb) >> 1 == 0 && m >= 0 && n >= 0 && k >= 0 && batch >= 0;
    if (!low || lda < (opa ? k : m) || ldb < (opb ? n : k) || ldc < m || lda < 1 || ldb < 1)
        return INVALID_VALUE;
    bool wide = compute == COMPUTE_64F, single = ta == R_32F, half = ta == R_16F || ta == R_16BF;
    bool into = tc == ta || (half && tc == R_32F);
    bool known = wide ? ta == R_64F : compute == COMPUTE_32F ? single || half
               : compute == COMPUTE_32F_FAST_TF32 && single;
    if (ta != tb || !into || !known || algo != -1) return NOT_SUPPORTED;
    for (int64_t i = 0; i < batch; i++) {
        auto from = (const char*)a + i * sa * (int64_t)size_of(ta);
        auto with = (const char*)b + i * sb * (int64_t)size_of(tb);
        auto to = (char*)c + i * sc * (int64_t)size_of(tc);
        if (wide)
            multiply<double>(opa, opb, m, n, k, *(const double*)alpha, from, ta, lda, with, tb, ldb,
                             *(const double*)beta, to, tc, ldc, false);
        else
            multiply<float>(opa, opb, m, n, k, *(const float*)alpha, from, ta, lda, with, tb, ldb,
                            *(const float*)beta, to, tc, ldc, compute == COMPUTE_32F_FAST_TF32);
    }
    return SUCCESS;
}

static void note(const std::string& line) { journal += line + "\n"; }
static std::string text(const void* x) { return std::to_string((uintptr_t)x); }

extern "C" {
const char* journal_so_far() { return journal.c_str(); }
void begin_journal() { journal.clear(); }

const char* cublasGetStatusName(int status) {
    return status == INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
         : status == INTERNAL_ERROR ? "CUBLAS_STATUS_INTERNAL_ERROR"
         : status == NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_NOT_INITIALIZED";
}
int cublasCreate_v2(Handle** handle) {
    *handle = new Handle{};
    note("create");
    return SUCCESS;
}
int cublasSetMathMode(Handle* handle, int mode) {
    handle->math = mode;
    note("math " + std::to_string(mode));
    return SUCCESS;
}
int cublasSetStream_v2(Handle* handle, void* stream) {
    handle->stream = stream, handle->workspace = nullptr;
    note("stream " + text(stream));
    return SUCCESS;
}
int cublasSetWorkspace_v2(Handle* handle, void* workspace, size_t bytes) {
    handle->workspace = workspace, handle->bytes = bytes;
    note("workspace " + text(workspace) + " " + std::to_string(bytes));
    return (uintptr_t)workspace % 256 ? INVALID_VALUE : SUCCESS;
}

#define GEMM(NAME, SIZE)                                                                           \
    int cublasGemmEx##NAME(Handle* handle, int opa, int opb, SIZE m, SIZE n, SIZE k,               \
                           const void* alpha, const void* a, int ta, SIZE lda, const void* b,      \
                           int tb, SIZE ldb, const void* beta, void* c, int tc, SIZE ldc,          \
                           int compute, int algo) {                                                \
        note("gemm" #NAME " on " + text(handle->stream));                                          \
        return gemm(handle, opa, opb, m, n, k, alpha, a, ta, lda, 0, b, tb, ldb, 0, beta, c, tc,   \
                    ldc, 0, 1, compute, algo);                                                     \
    }                                                                                              \
    int cublasGemmStridedBatchedEx##NAME(                                                          \
        Handle* handle, int opa, int opb, SIZE m, SIZE n, SIZE k, const void* alpha,               \
        const void* a, int ta, SIZE lda, long long sa, const void* b, int tb, SIZE ldb,            \
        long long sb, const void* beta, void* c, int tc, SIZE ldc, long long sc, SIZE batch,       \
        int compute, int algo) {                                                                   \
        note("batch" #NAME " of " + std::to_string(batch) + " on " + text(handle->stream));        \
        return gemm(handle, opa, opb, m, n, k, alpha, a, ta, lda, sa, b, tb, ldb, sb, beta, c, tc, \
                    ldc, sc, batch, compute, algo);                                                \
    }
GEMM(, int)
GEMM(_64, int64_t)
}
