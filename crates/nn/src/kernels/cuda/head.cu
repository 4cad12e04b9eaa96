// What the kernels share. Their values are of type T, which is defined above these lines.
//
// Every kernel runs over `count` items, each by whichever thread comes to it, and no two write the same place, so that the
// result does not depend on the order.

typedef unsigned int I;

// The items of one thread.
#define EACH(i) (I i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += blockDim.x * gridDim.x)
