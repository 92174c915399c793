#define _GNU_SOURCE
#include "linux_calls.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The guard of a run: a process that outlives whoever kills the runner, and then kills what the workers have started.

   It is a fork, so that no program has to be loaded, and it gives back all memory that it has got by that: what is left is the page
   of its own code, a few of the stack, and those that the kernel itself writes to. Whatever the runner writes later would otherwise stay
   in the guard in its old form. Nothing of a library is there any more then: the code has a section of its own, calls nothing,
   and makes its system calls by itself. Where there are no such instructions for the processor below, it keeps the memory. */

#if defined(__x86_64__) || defined(__aarch64__)
#define GIVES_BACK 1
#define GUARD __attribute__((section("ringway_guard"), noinline, optnone, no_stack_protector, no_profile_instrument_function, \
                             no_sanitize("address", "thread", "undefined", "coverage")))
#define INLINE static inline __attribute__((always_inline, no_stack_protector, no_profile_instrument_function, \
                                            no_sanitize("address", "thread", "undefined", "coverage")))

INLINE long call(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
  register long r10 __asm__("r10") = d;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
#endif
}

/* The linker's names for the two ends of the section. */
extern const char __start_ringway_guard[] __attribute__((visibility("hidden")));
extern const char __stop_ringway_guard[] __attribute__((visibility("hidden")));
#else
#define GIVES_BACK 0
#define GUARD static
#define INLINE static inline
INLINE long call(long number, long a, long b, long c, long d) {
  long result = syscall(number, a, b, c, d);
  return result < 0 ? -errno : result;
}
#endif

struct range {
  uintptr_t from, to;
};

/* Descriptor 0 is the pipe whose other end the runner alone has, 1 the list of groups. `kept` is in order. */
GUARD _Noreturn void ringway_guard_watch(const struct range *kept, int count) {
  uintptr_t from = 0;
  for (int i = 0; i < count; i++) {
    /* A part that may not be unmapped, as the newest kernels have them, stays; nothing here depends on it. */
    if (kept[i].from > from) call(SYS_munmap, (long)from, (long)(kept[i].from - from), 0, 0);
    if (kept[i].to > from) from = kept[i].to;
  }
  char byte;
  long got;
  /* Nobody writes to it: it ends when the runner does. */
  do got = call(SYS_read, 0, (long)&byte, 1, 0);
  while (got > 0 || got == -EINTR);
  uint64_t words[32];
  if (got == 0) {
    for (long offset = 0; (got = call(SYS_pread64, 1, (long)words, sizeof words, offset)) > 0; offset += got) {
      for (long i = 0; i < got / 8; i++) {
        int group = (int)(words[i] & 0x7fffffff);
        /* Whatever was torn, or written by nobody, is no group. */
        if (group > 1 && words[i] == linux_group_word(group)) call(SYS_kill, -(long)group, SIGKILL, 0, 0);
      }
    }
  }
  for (;;) call(SYS_exit_group, 0, 0, 0, 0);
}

/* What `ps` and pkill(1) see. By another name than the runner's, `pkill -9 ringway` meets the runner and not its guard, and so does a
   pattern for its command line: that lies on the stack, from the program's name on, and the copy is the guard's own. */
static void rename_self(const char *name) {
  prctl(PR_SET_NAME, name, 0, 0, 0);
  char line[4096];
  int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, line, sizeof line);
  char *start = program_invocation_name;
  /* Unless somebody has put something else there: what the program was started with lies above every frame of its main thread. */
  if (length < 2 || (uintptr_t)start < (uintptr_t)(line + sizeof line) || memcmp(line, start, (size_t)length) != 0) return;
  memset(start, 0, (size_t)length);
  strncpy(start, name, (size_t)length - 1);
}

int linux_spawn_guard(int life, int groups, const char *name) {
  sigset_t all, before;
  sigfillset(&all);
  /* No signal but SIGKILL ever reaches the guard: it never unblocks them. */
  if (sigprocmask(SIG_BLOCK, &all, &before) != 0) return -1;
  long page = sysconf(_SC_PAGESIZE);
  /* Not fork(2) of the library: its handlers are for a child that goes on using libraries. Nor is anything inherited that
     would be told of a death, such as the parent-death signal. */
  pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (pid != 0) {
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
  }
  /* A session of its own: neither the terminal nor who kills the runner's group means the guard. */
  setsid();
  if (chdir("/") != 0) _exit(1);
  rename_self(name);
  int first = fcntl(life, F_DUPFD, 3), second = fcntl(groups, F_DUPFD, 3);
  if (first < 0 || second < 0 || dup2(first, 0) < 0 || dup2(second, 1) < 0) _exit(1);
  linux_close_from(2);
  struct range kept[4];
  int count = 0;
#if GIVES_BACK
  uintptr_t thread, mask = ~(uintptr_t)(page - 1);
#if defined(__x86_64__)
  __asm__("mov %%fs:0, %0" : "=r"(thread));
#else
  __asm__("mrs %0, tpidr_el0" : "=r"(thread));
#endif
  struct range needed[4] = {
    { (uintptr_t)__start_ringway_guard & mask, ((uintptr_t)__stop_ringway_guard + (uintptr_t)page - 1) & mask },
    /* The kernel writes to the thread's own area now and then (rseq(2)), and kills whose area is gone. */
    { (thread - (64 << 10)) & mask, (thread + (16 << 10)) & mask },
    /* Code of the kernel, which the newest do not let go, and who asks for it with others keeps them too. */
    { (getauxval(AT_SYSINFO_EHDR) - (64 << 10)) & mask, (getauxval(AT_SYSINFO_EHDR) + (64 << 10)) & mask },
    /* The stack, and what lies above it. */
    { ((uintptr_t)needed - (64 << 10)) & mask, UINTPTR_MAX },
  };
  if (getauxval(AT_SYSINFO_EHDR) == 0) needed[2] = needed[0];
  for (int i = 0; i < 4; i++) {
    int at = count++;
    for (; at > 0 && kept[at - 1].from > needed[i].from; at--) kept[at] = kept[at - 1];
    kept[at] = needed[i];
  }
#else
  (void)page;
#endif
  ringway_guard_watch(kept, count);
}
