// Runs kernels on the CPU, thread by thread: what CUDA gives them, and a program around them.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#define __global__
#define __device__
struct Dimension { unsigned x; };
static Dimension gridDim{3}, blockDim{2}, blockIdx{0}, threadIdx{0};

#define RUN(call)                                                      \
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)         \
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++) call;
