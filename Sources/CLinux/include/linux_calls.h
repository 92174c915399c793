#pragma once
/* What Linux has and Swift's Glibc module lacks: variadic calls, GNU extensions and one CPU hint.
   This header must not define _GNU_SOURCE: clang would then see another fd_set than Swift does, and debug builds fail.
   Nor does it include <sys/types.h>: the types in it would then belong to this module, not to Glibc.
   Every function returns what the call returns and leaves errno alone. */
#include <stdint.h>
#include <stddef.h>

/* futex(2), shared between processes. A null deadline waits for ever; it is absolute CLOCK_MONOTONIC nanoseconds. */
long linux_futex_wait(const void *word, uint32_t expected, int64_t deadline_ns /* < 0: none */);
long linux_futex_wake(const void *word, int count);

int linux_memfd(const char *name);                    /* memfd_create(2): close-on-exec, sealing allowed */
int linux_seal_size(int fd);                          /* F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL */
int linux_pidfd_open(int pid);                      /* pidfd_open(2) */
int linux_pidfd_kill(int pidfd, int signal);          /* pidfd_send_signal(2) */
int linux_has_ended(int pidfd);                       /* waitid(2), WNOWAIT: 1: it waits to be reaped, 0: still running, -1: errno */
int linux_reap(int pidfd, int *code, int *status, int64_t *cpu_us, int64_t *peak_kib); /* waitid(2) + rusage; 1: reaped, 0: still running, -1: errno */
int linux_parent_death_signal(int signal);            /* prctl(2) PR_SET_PDEATHSIG */
/* A program that is killed when the calling thread ends: posix_spawn(3) has no attribute for the parent-death signal, and the program
   cannot be asked to set it. It is in the caller's process group, or leads one of its own. Its descriptors 0, 1, ... are fds[0], fds[1], ...,
   which must all be at least count; it has no others. Signals are neither blocked nor ignored. A null environment is the caller's, a null
   directory too. The process number, or -1 and the name of the call that has failed. */
int linux_spawn(const char *path, char *const arguments[], char *const environment[], const char *directory, int leads_group, const int *fds,
                int count, const char **failed);
/* Closes all descriptors from this one on (close_range(2)); where that call is not there or forbidden, those that /proc/self/fd lists. Calls
   nothing but system calls. */
void linux_close_from(int first);
/* The guard of a run: a process that reads `life`, a pipe's end, until nobody has the other end any more, and then kills the process groups
   in the file `groups`, as `linux_group_word` writes them. It shares nothing else with the caller. The process number, or -1. */
int linux_spawn_guard(int life, int groups, const char *name);
/* Descriptors over a Unix socket, with one byte (unix(7), SCM_RIGHTS). At most LINUX_MOST_SENT; -1: errno. Received ones are
   close-on-exec; 0: the other side has closed. */
#define LINUX_MOST_SENT 253
int linux_send_descriptors(int socket, const int *fds, int count);
int linux_receive_descriptors(int socket, int *fds, int capacity);
int linux_unread(int fd);                             /* ioctl(2) FIONREAD: bytes that wait in a pipe */
int linux_child_subreaper(int on);                    /* prctl(2) PR_SET_CHILD_SUBREAPER */
int linux_signalfd(int fd, const void *set);          /* signalfd(2): close-on-exec, non-blocking */
int linux_eventfd(void);                              /* eventfd(2): close-on-exec, non-blocking */
int linux_timer(void);                                /* timerfd_create(2), CLOCK_MONOTONIC: close-on-exec, non-blocking */
int linux_timer_set(int fd, int64_t deadline_ns);     /* timerfd_settime(2), absolute, once; a time that has passed is at once */
int linux_watch(int a, int b);                        /* epoll_create1(2): close-on-exec; readable while one of the two is */
int linux_affinity(uint64_t *words, int count);       /* sched_getaffinity(2): a bit for each CPU that this thread may use */
int linux_set_affinity(int thread, const uint64_t *words, int count); /* sched_setaffinity(2); 0 is the calling thread */
int linux_populate(void *address, size_t length);     /* madvise(2) MADV_POPULATE_WRITE */
int linux_dont_fork(void *address, size_t length);    /* madvise(2) MADV_DONTFORK */
int linux_open(const char *path, int flags, unsigned mode);
int linux_fcntl(int fd, int command, long argument);
/* An advisory lock on a whole file that belongs to this process, whatever it forks or becomes (fcntl(2), F_SETLK). */
int linux_lock(int fd);                               /* takes it; -1 with EAGAIN or EACCES when another process has it */
int linux_lock_holder(int fd, int *pid);              /* F_GETLK; 1: another process has it (0 for one that cannot be named), 0: free, -1: errno */
int linux_allocate(int fd, int64_t length);           /* fallocate(2): takes the room on the disk */
uint64_t linux_birth(int fd);                         /* statx(2): when the file was made, in nanoseconds; 0 where it is not known */
int linux_window_columns(int fd);                     /* ioctl(2) TIOCGWINSZ; 0 when it is no terminal */

static inline void linux_pause(void) {                /* the spin-loop hint of the CPU */
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

/* A process group as the guard reads it: the number and its complement, so that no part of a word is taken for one. */
static inline __attribute__((always_inline, no_profile_instrument_function)) uint64_t linux_group_word(int group) {
  return (uint64_t)~(uint32_t)group << 32 | (uint32_t)group;
}

static inline void linux_prefetch_for_writing(const void *address) { __builtin_prefetch(address, 1, 3); }
