// What a CUDA source needs to be plain C++: it comes before the source. Kernels run on threads of the host.
#include <barrier>
#include <cmath>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__
#define __shared__ static

struct Place {
    unsigned x, y, z;
};
static thread_local Place threadIdx;
static Place blockIdx, blockDim, gridDim;
static std::barrier<>* block_barrier = nullptr;

static inline void __syncthreads() {
    if (block_barrier) block_barrier->arrive_and_wait();
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline double __dsqrt_rn(double x) { return sqrt(x); }
static inline int __float_as_int(float x) {
    int bits;
    memcpy(&bits, &x, 4);
    return bits;
}
static inline float __int_as_float(int bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}

// All blocks, one after the other. Threads of a block run one after the other too, or `together` where they meet.
template <class... A>
static void run(void (*kernel)(A...), unsigned x, unsigned y, int together, void** arguments) {
    const unsigned threads = 256;
    gridDim = {x, y, 1};
    blockDim = {threads, 1, 1};
    auto one = [=](unsigned thread) {
        threadIdx = {thread, 0, 0};
        call(kernel, arguments, std::index_sequence_for<A...>{});
    };
    for (unsigned block = 0; block < x * y; ++block) {
        blockIdx = {block % x, block / x, 0};
        if (!together) {
            for (unsigned thread = 0; thread < threads; ++thread) one(thread);
            continue;
        }
        std::barrier<> barrier(threads);
        block_barrier = &barrier;
        std::vector<std::thread> all;
        for (unsigned thread = 0; thread < threads; ++thread) all.emplace_back(one, thread);
        for (auto& thread : all) thread.join();
        block_barrier = nullptr;
    }
}

#define KERNEL(f)                               \
    if (!strcmp(name, #f)) {                    \
        run(f, x, y, together, arguments);      \
        return 0;                               \
    }
