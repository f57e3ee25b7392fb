// Part of a binding that is carried to older systems: what its code, or that of the headers it includes, takes from the C and
// C++ libraries of the machine it is built on, and that those of the machine it runs on may lack. Each function here is seen
// by the binding alone, has the name of the library's, and does the same by what has been there for longer. For what is built
// by GCC 12 on glibc 2.36 so neither a glibc newer than 2.28 nor a libstdc++ newer than GCC 6's (3.4.22, CXXABI 1.3.11) is
// needed, which is what PyTorch's own libtorch asks for.
#include <cxxabi.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ios>
#include <mutex>

#define HIDDEN extern "C" __attribute__((visibility("hidden")))

// glibc 2.32. Whether there is but one thread: counts of references then need no atomic operations. Never.
HIDDEN char conquer_single_threaded __asm__("__libc_single_threaded");
char conquer_single_threaded = 0;

// glibc 2.33, which before had it in the headers. On 64-bit systems the kernel's structure is the C library's.
HIDDEN int conquer_fstat(int descriptor, struct stat* status) __asm__("fstat");
int conquer_fstat(int descriptor, struct stat* status) {
  return static_cast<int>(syscall(SYS_fstat, descriptor, status));
}

// glibc 2.29, whose exp and log leave out a wrapper that sets errno.
#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#endif
#ifdef OLDEST
extern "C" double conquer_old_exp(double);
extern "C" double conquer_old_log(double);
__asm__(".symver conquer_old_exp, exp@" OLDEST);
__asm__(".symver conquer_old_log, log@" OLDEST);
HIDDEN double conquer_exp(double x) __asm__("exp");
HIDDEN double conquer_log(double x) __asm__("log");
double conquer_exp(double x) { return conquer_old_exp(x); }
double conquer_log(double x) { return conquer_old_log(x); }
#endif

// GCC 12 (GLIBCXX_3.4.30). A condition variable is a pthread_cond_t.
HIDDEN void conquer_wait(pthread_cond_t* condition, std::unique_lock<std::mutex>* lock)
    __asm__("_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE");
void conquer_wait(pthread_cond_t* condition, std::unique_lock<std::mutex>* lock) {
  pthread_cond_wait(condition, lock->mutex()->native_handle());
}

// GCC 11 (GLIBCXX_3.4.29).
HIDDEN [[noreturn]] void conquer_bad_array_new_length() __asm__("_ZSt28__throw_bad_array_new_lengthv");
void conquer_bad_array_new_length() { abi::__cxa_throw_bad_array_new_length(); }

// GCC 11 (CXXABI_1.3.13), whose copies and destructors of std::exception_ptr are in the headers and count by these two. The
// copies and destructors of before are there still. A pointer to an exception is one pointer.
extern "C" void conquer_copy_exception(void** to, const void* from)
    __asm__("_ZNSt15__exception_ptr13exception_ptrC1ERKS0_");
extern "C" void conquer_drop_exception(void* pointer) __asm__("_ZNSt15__exception_ptr13exception_ptrD1Ev");
HIDDEN void conquer_add_reference(void* pointer)
    __asm__("_ZNSt15__exception_ptr13exception_ptr9_M_addrefEv");
void conquer_add_reference(void* pointer) {
  void* copy;  // never destroyed
  conquer_copy_exception(&copy, pointer);
}
HIDDEN void conquer_release(void* pointer) __asm__("_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv");
void conquer_release(void* pointer) { conquer_drop_exception(pointer); }

// GCC 9 (GLIBCXX_3.4.26): streams made without arguments. With a mode they were always there.
#define STREAM(name, symbol, mode)                                                                  \
  extern "C" void name##_with_mode(void*, std::ios_base::openmode) __asm__(symbol "C1ESt13_Ios_Openmode"); \
  HIDDEN void name(void* stream) __asm__(symbol "C1Ev");                                            \
  void name(void* stream) { name##_with_mode(stream, mode); }
STREAM(conquer_ostringstream, "_ZNSt7__cxx1119basic_ostringstreamIcSt11char_traitsIcESaIcEE", std::ios_base::out)
STREAM(conquer_stringstream, "_ZNSt7__cxx1118basic_stringstreamIcSt11char_traitsIcESaIcEE",
       std::ios_base::in | std::ios_base::out)
