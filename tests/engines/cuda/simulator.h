// CUDA for one thread of a processor: what `kernels.cu` uses of it, defined in plain C++.
//
// A launch is a loop over blocks and threads, in one order or in the reverse one. Nothing runs at
// once, so what depends on the order shows by running both.

#include <cmath>

#define __global__
#define __device__

struct Dim {
    int x, y, z;
};

static thread_local Dim blockIdx, threadIdx, blockDim, gridDim;

static inline int atomicMax(int *where, int value) {
    int old = *where;
    if (value > old) *where = value;
    return old;
}

// For toys alone: what is not drawn is -1, so the lowest triangle is the lowest that is not.
[[maybe_unused]] static inline int atomicMin(int *where, int value) {
    int old = *where;
    if (old < 0 || value < old) *where = value;
    return old;
}

extern "C" void simulate(void (*kernel)(const void *), const void *argument, const int *sizes,
                         int reverse) {
    gridDim = {sizes[0], sizes[1], sizes[2]};
    blockDim = {sizes[3], sizes[4], sizes[5]};
    long long counts[6] = {sizes[3], sizes[4], sizes[5], sizes[0], sizes[1], sizes[2]};
    long long all = 1;
    for (int k = 0; k < 6; ++k) all *= counts[k];
    for (long long step = 0; step < all; ++step) {
        long long rest = reverse ? all - 1 - step : step;
        int at[6];
        for (int k = 0; k < 6; ++k) {
            at[k] = (int)(rest % counts[k]);
            rest /= counts[k];
        }
        threadIdx = {at[0], at[1], at[2]};
        blockIdx = {at[3], at[4], at[5]};
        kernel(argument);
    }
}
