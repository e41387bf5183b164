// One name for what CUDA and HIP call differently: nothing else of the program knows which it is built for.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <cstdint>
#include <cstring>
#include <vector>

#if defined(EMULATED)
// No device: threads run one after the other, products are made plainly. For checking the rest of the program (`make emulated`).
#define __host__
#define __device__
#define __global__
#define DEVICE(name) emulated##name
using emulatedError_t = int;
constexpr int emulatedSuccess = 0;
inline const char *emulatedGetErrorString(int) { return "out of memory"; }
inline int emulatedMalloc(void **memory, size_t bytes) { return (*memory = std::malloc(bytes)) == nullptr; }
enum { emulatedMemcpyDeviceToHost };
inline int emulatedMemcpy(void *to, const void *from, size_t bytes, int) { return std::memcpy(to, from, bytes) == nullptr; }
inline int emulatedDeviceSynchronize() { return 0; }
inline int emulatedGetLastError() { return 0; }
inline thread_local size_t emulatedThread = 0;
inline size_t threadIndex() { return emulatedThread; }
#define LAUNCH(kernel, threads, ...) \
  for (emulatedThread = 0; emulatedThread < size_t(threads); emulatedThread += 1) kernel(__VA_ARGS__)
using BlasHandle = int;
using BlasStatus = int;
constexpr BlasStatus blasOk = 0;
inline BlasStatus blasCreate(BlasHandle *) { return blasOk; }
inline BlasStatus blasProducts(BlasHandle, int n, const int *, const void **a, const void **b, const int *beta, void **c,
                               int count) {
  for (int one = 0; one < count; one += 1) {
    auto x = static_cast<const int8_t *>(a[one]), y = static_cast<const int8_t *>(b[one]);
    auto sums = static_cast<int32_t *>(c[one]);
    for (int row = 0; row < n; row += 1)
      for (int column = 0; column < n; column += 1) {
        int32_t sum = 0;
        for (int at = 0; at < n; at += 1) sum += int32_t(x[row * n + at]) * y[column * n + at];
        // Column-major, as BLAS has it.
        int32_t &place = sums[column * n + row];
        place = (*beta ? place : 0) + sum;
      }
  }
  return blasOk;
}
#elif defined(__HIP_PLATFORM_AMD__) || defined(__HIPCC__)
#include <hip/hip_runtime.h>
#include <hipblas/hipblas.h>
#define DEVICE(name) hip##name
using BlasHandle = hipblasHandle_t;
using BlasStatus = hipblasStatus_t;
constexpr BlasStatus blasOk = HIPBLAS_STATUS_SUCCESS;
inline BlasStatus blasCreate(BlasHandle *handle) { return hipblasCreate(handle); }
// Whole numbers of 8 bits in, of 32 bits out. Matrices are column-major: see `multiply` in prove.cu.
inline BlasStatus blasProducts(BlasHandle handle, int n, const int *one, const void **a, const void **b, const int *beta,
                               void **c, int count) {
  return hipblasGemmBatchedEx(handle, HIPBLAS_OP_T, HIPBLAS_OP_N, n, n, n, one, a, HIPBLAS_R_8I, n, b, HIPBLAS_R_8I, n, beta,
                              c, HIPBLAS_R_32I, n, count, HIPBLAS_R_32I, HIPBLAS_GEMM_DEFAULT);
}
#else
#include <cublas_v2.h>
#include <cuda_runtime.h>
#define DEVICE(name) cuda##name
using BlasHandle = cublasHandle_t;
using BlasStatus = cublasStatus_t;
constexpr BlasStatus blasOk = CUBLAS_STATUS_SUCCESS;
inline BlasStatus blasCreate(BlasHandle *handle) { return cublasCreate(handle); }
inline BlasStatus blasProducts(BlasHandle handle, int n, const int *one, const void **a, const void **b, const int *beta,
                               void **c, int count) {
  return cublasGemmBatchedEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, n, n, n, one, a, CUDA_R_8I, n, b, CUDA_R_8I, n, beta, c,
                             CUDA_R_32I, n, count, CUBLAS_COMPUTE_32I, CUBLAS_GEMM_DEFAULT);
}
#endif

#if !defined(EMULATED)
__device__ inline size_t threadIndex() { return size_t(blockIdx.x) * blockDim.x + threadIdx.x; }
// Kernels look by themselves whether their thread has something to do.
#define LAUNCH(kernel, threads, ...) kernel<<<unsigned((size_t(threads) + 255) / 256), 256>>>(__VA_ARGS__)
#endif

inline void check(DEVICE(Error_t) status, const char *what) {
  if (status != DEVICE(Success)) throw std::runtime_error(std::string(what) + ": " + DEVICE(GetErrorString)(status));
}
inline void checkBlas(BlasStatus status, const char *what) {
  if (status != blasOk) throw std::runtime_error(std::string(what) + ": BLAS status " + std::to_string(int(status)));
}

template <typename T> T *onDevice(size_t count) {
  void *memory = nullptr;
  check(DEVICE(Malloc)(&memory, count * sizeof(T)), "memory of the device");
  return static_cast<T *>(memory);
}
