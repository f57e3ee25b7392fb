// A function that is compiled for newer processors too; which one runs is chosen when it is loaded. What it calls is to be inlined: the
// standard library's functions are not.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#if __GNUC__ >= 12
// AVX2, FMA and what else every x86 has had since 2013 to 2015. A processor's name in its place (arch=haswell) would mean that one alone.
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx2", "default")))
#endif
#else
#define FOR_EACH_PROCESSOR
#endif
