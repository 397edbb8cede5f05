// What every kernel file shares: scalar types, the walk over an array, and the sliding window.
//
// A kernel is a template over T, the type in memory (float, double, Half or Bfloat16), and computes
// in Acc<T>: float where T has 16 bits, T itself otherwise. Arrays are C-contiguous. Every scalar
// argument is a long long or a double, which is what CuPy makes of a Python int or float: nothing
// has to be wrapped, and nothing can be cut in half on the way. No header is included: NVRTC alone
// suffices.

typedef long long i64;  // for what may exceed 2^31: whole arrays. Inside one plane an int will do.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef MINIGRAD_CPU_SHIM  // tests/kernels/cuda_shim.h brings its own of these, for the CPU
__device__ inline float infinity() { return __int_as_float(0x7f800000); }
struct Half {  // IEEE float16, only ever loaded and stored
    u16 bits;
    Half() = default;
    __device__ Half(float value) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value)); }
    __device__ operator float() const {
        float value;
        asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
        return value;
    }
};
struct Bfloat16 {  // the upper half of a float32
    u16 bits;
    Bfloat16() = default;
    __device__ Bfloat16(float value) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value)); }
    __device__ operator float() const { return __int_as_float(bits << 16); }
};
#endif

template <typename T> struct Accumulator { typedef T type; };
template <> struct Accumulator<Half> { typedef float type; };
template <> struct Accumulator<Bfloat16> { typedef float type; };
template <typename T> using Acc = typename Accumulator<T>::type;

const int THREADS = 256;  // a block's threads, in every kernel; module.py says the same
const int WARP = 32;

// A flat array: every thread takes an element, and then the one a whole grid further on.
//     for (i64 i = first_element(); i < size; i += element_step())
__device__ inline i64 first_element() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline i64 element_step() { return (i64)gridDim.x * blockDim.x; }

// An array of images is a pile of planes, one an image and channel: x along a plane's pixels, of
// which there may be 2^30, y along the planes. These loops, too, stride by the whole grid.
//     for (i64 plane = first_plane(); plane < planes; plane += plane_step())
//         for (int pixel = first_pixel(); pixel < pixels; pixel += pixel_step())
__device__ inline i64 first_plane() { return (i64)blockIdx.y * blockDim.y + threadIdx.y; }
__device__ inline i64 plane_step() { return (i64)gridDim.y * blockDim.y; }
__device__ inline int first_pixel() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline int pixel_step() { return gridDim.x * blockDim.x; }

// A window of KH x KW taps that slides over an H x W image to OH x OW places: tap k of place o
// looks at o * stride - pad_before + k * dilation. `window` in module.py fills it in.
struct Window {
    int C, H, W, KH, KW, SH, SW, top, bottom, left, right, DH, DW, OH, OW;
};

// The place o whose tap k looks at position i, or -1: o * stride - pad + k * dilation = i.
// The gather kernels, the adjoints of sliding a window, are built on this.
__device__ inline int place_of(int i, int k, int stride, int pad, int dilation, int places) {
    int offset = i + pad - k * dilation;
    if (offset < 0 || offset % stride) return -1;
    int o = offset / stride;
    return o < places ? o : -1;
}

// The same the other way round, which takes one division instead of one a tap: the places whose
// windows can cover position i are first, ..., last, and the tap with which o looks at i is tap(o),
// or -1 where its window, being dilated, skips i.
//     for (int o = c.last; o >= c.first; --o)
struct Cover {
    int first, last, offset, stride, dilation;

    __device__ Cover(int i, int taps, int stride, int pad, int dilation, int places)
        : offset(i + pad), stride(stride), dilation(dilation) {
        int beyond = offset - (taps - 1) * dilation;
        first = beyond <= 0 ? 0 : (beyond + stride - 1) / stride;
        last = min(offset / stride, places - 1);
    }
    __device__ int tap(int o) const {
        int distance = offset - o * stride;
        if (dilation == 1) return distance;
        return distance % dilation ? -1 : distance / dilation;
    }
};
