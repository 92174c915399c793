/* Calls every function of CLinux with ordinary and with extreme arguments. Built by `make sanitize` with clang's checks for
   undefined behaviour and for addresses, which end the program at the first finding. */
#define _GNU_SOURCE
#include "linux_calls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int checks;

static void expect(int line, int holds, const char *text) {
  checks += 1;
  if (!holds) {
    fprintf(stderr, "check.c:%d: %s (errno %d, %s)\n", line, text, errno, strerror(errno));
    exit(1);
  }
}
#define EXPECT(condition) expect(__LINE__, (condition), #condition)
#define FAILS(call, code) (errno = 0, (call) == -1 && errno == (code))

static const int wild[] = { INT_MIN, INT_MIN + 1, -4096, -2, -1, INT_MAX - 1, INT_MAX };
#define EACH(i) for (size_t i = 0; i < sizeof wild / sizeof *wild; i++)

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void futexes(void) {
  uint32_t word = 7;
  EXPECT(FAILS(linux_futex_wait(&word, 8, -1), EAGAIN));
  EXPECT(FAILS(linux_futex_wait(&word, UINT32_MAX, INT64_MIN), EAGAIN));
  /* A time that has passed, the smallest and one soon. */
  EXPECT(FAILS(linux_futex_wait(&word, 7, 0), ETIMEDOUT));
  EXPECT(FAILS(linux_futex_wait(&word, 7, 1), ETIMEDOUT));
  EXPECT(FAILS(linux_futex_wait(&word, 7, now() + 1000000), ETIMEDOUT));
  EXPECT(FAILS(linux_futex_wait(&word, 8, INT64_MAX), EAGAIN));
  EXPECT(FAILS(linux_futex_wait((const char *)&word + 1, 7, 0), EINVAL));
  EXPECT(FAILS(linux_futex_wait(NULL, 7, 0), EFAULT));
  EXPECT(linux_futex_wake(&word, 1) == 0);
  EACH(i) EXPECT(linux_futex_wake(&word, wild[i]) <= 0);
  EXPECT(FAILS(linux_futex_wake(NULL, 1), EFAULT));
}

static void memory(void) {
  int fd = linux_memfd("check");
  EXPECT(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  EXPECT(ftruncate(fd, 8192) == 0);
  void *base = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  EXPECT(base != MAP_FAILED);
  EXPECT(linux_populate(base, 8192) == 0 || errno == EINVAL);
  EXPECT(linux_populate(base, 0) == 0 || errno == EINVAL);
  EXPECT(linux_populate(base, SIZE_MAX) == -1);
  EXPECT(linux_populate((char *)base + 1, 4096) == -1);
  EXPECT(linux_populate(NULL, 4096) == -1);
  EXPECT(linux_dont_fork(base, 8192) == 0);
  EXPECT(linux_dont_fork(base, SIZE_MAX) == -1);
  EXPECT(linux_dont_fork((char *)base + 1, 1) == -1);
  EXPECT(linux_seal_size(fd) == 0);
  EXPECT(FAILS(ftruncate(fd, 4096), EPERM));
  EXPECT(FAILS(linux_seal_size(fd), EPERM));
  EACH(i) EXPECT(FAILS(linux_seal_size(wild[i]), EBADF));
  munmap(base, 8192);
  close(fd);

  char name[512];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = 0;
  EXPECT(FAILS(linux_memfd(name), EINVAL));
  EXPECT(FAILS(linux_memfd(NULL), EFAULT));
  fd = linux_memfd("");
  EXPECT(fd >= 0);
  close(fd);
}

static void processes(void) {
  int code = -1, status = -1;
  int64_t cpu = -1, peak = -1;
  int gate[2];
  EXPECT(pipe(gate) == 0);
  pid_t child = fork();
  if (child == 0) {
    char byte;
    close(gate[1]);
    _exit(read(gate[0], &byte, 1) == 0 ? 255 : 1);
  }
  EXPECT(child > 0);
  int pidfd = linux_pidfd_open(child);
  EXPECT(pidfd >= 0);
  EXPECT(linux_has_ended(pidfd) == 0);
  EXPECT(linux_reap(pidfd, &code, &status, &cpu, &peak) == 0 && code == -1 && status == -1 && cpu == -1 && peak == -1);
  EXPECT(linux_pidfd_kill(pidfd, 0) == 0);
  EACH(i) EXPECT(FAILS(linux_pidfd_kill(pidfd, wild[i]), EINVAL));
  close(gate[1]);
  int reaped;
  while ((reaped = linux_has_ended(pidfd)) == 0) sched_yield();
  EXPECT(reaped == 1 && linux_has_ended(pidfd) == 1 && linux_pidfd_kill(pidfd, 0) == 0);
  while ((reaped = linux_reap(pidfd, &code, &status, &cpu, &peak)) == 0) sched_yield();
  EXPECT(reaped == 1 && code == CLD_EXITED && status == 255 && cpu >= 0 && peak > 0);
  EXPECT(FAILS(linux_reap(pidfd, &code, &status, &cpu, &peak), ECHILD) && FAILS(linux_has_ended(pidfd), ECHILD));
  EXPECT(FAILS(linux_pidfd_kill(pidfd, SIGKILL), ESRCH));
  close(pidfd);
  close(gate[0]);

  child = fork();
  if (child == 0) for (;;) pause();
  pidfd = linux_pidfd_open(child);
  EXPECT(linux_pidfd_kill(pidfd, SIGKILL) == 0);
  while ((reaped = linux_reap(pidfd, &code, &status, &cpu, &peak)) == 0) sched_yield();
  EXPECT(reaped == 1 && code == CLD_KILLED && status == SIGKILL);
  close(pidfd);

  EACH(i) {
    EXPECT(linux_pidfd_open(wild[i]) == -1);
    EXPECT(linux_pidfd_kill(wild[i], 0) == -1 && linux_has_ended(wild[i]) == -1);
    EXPECT(linux_reap(wild[i], &code, &status, &cpu, &peak) == -1);
    EXPECT(FAILS(linux_parent_death_signal(wild[i]), EINVAL));
    EXPECT(linux_child_subreaper(wild[i]) == 0);
  }
  EXPECT(linux_parent_death_signal(SIGKILL) == 0);
  EXPECT(linux_parent_death_signal(0) == 0);
  EXPECT(linux_child_subreaper(1) == 0);
  EXPECT(linux_child_subreaper(0) == 0);
  uint64_t cpus[128] = { 0 }, none[128] = { 0 };
  EXPECT(linux_affinity(cpus, 128) == 0 && memcmp(cpus, none, sizeof cpus) != 0);
  EXPECT(linux_set_affinity(0, cpus, 128) == 0 && linux_set_affinity(getpid(), cpus, 128) == 0 && FAILS(linux_set_affinity(0, none, 128), EINVAL));
  EXPECT(FAILS(linux_affinity(cpus, 0), EINVAL) && FAILS(linux_set_affinity(0, cpus, 0), EINVAL));
  for (int i = -2; i < 0; i++) EXPECT(FAILS(linux_affinity(cpus, i), EINVAL) && FAILS(linux_set_affinity(0, cpus, i), EINVAL));
}

static void descriptors(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  int fd = linux_signalfd(-1, &set);
  EXPECT(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK);
  sigfillset(&set);
  EXPECT(linux_signalfd(fd, &set) == fd);
  close(fd);
  EXPECT(linux_signalfd(INT_MIN, &set) == -1);
  EXPECT(linux_signalfd(INT_MAX, &set) == -1);

  fd = linux_eventfd();
  EXPECT(fd >= 0);
  uint64_t value;
  EXPECT(FAILS(read(fd, &value, sizeof value), EAGAIN));
  EXPECT(linux_fcntl(fd, F_GETFD, 0) == FD_CLOEXEC);
  EXPECT(linux_fcntl(fd, F_SETFD, 0) == 0 && linux_fcntl(fd, F_GETFD, LONG_MIN) == 0);
  EXPECT(linux_fcntl(fd, F_DUPFD_CLOEXEC, LONG_MAX) == -1);
  EXPECT(linux_fcntl(fd, F_DUPFD_CLOEXEC, -1) == -1);
  EXPECT(linux_window_columns(fd) == 0);

  fd = linux_timer();
  EXPECT(fd >= 0 && linux_fcntl(fd, F_GETFD, 0) == FD_CLOEXEC);
  EXPECT(FAILS(read(fd, &value, sizeof value), EAGAIN));
  EXPECT(linux_timer_set(fd, INT64_MAX) == 0 && FAILS(read(fd, &value, sizeof value), EAGAIN));
  for (int64_t at = -1; at <= 1; at++) EXPECT(linux_timer_set(fd, at) == 0 && read(fd, &value, sizeof value) == sizeof value);
  EXPECT(linux_timer_set(fd, INT64_MIN) == 0 && read(fd, &value, sizeof value) == sizeof value);
  EACH(i) EXPECT(linux_timer_set(wild[i], 1) == -1);
  int other = linux_eventfd(), both = linux_watch(fd, other);
  EXPECT(both >= 0 && linux_fcntl(both, F_GETFD, 0) == FD_CLOEXEC);
  EACH(i) EXPECT(linux_watch(wild[i], fd) == -1 && linux_watch(fd, wild[i]) == -1);
  EXPECT(close(both) == 0 && close(other) == 0);
  EACH(i) {
    EXPECT(FAILS(linux_fcntl(fd, wild[i], 0), EINVAL));
    EXPECT(FAILS(linux_fcntl(wild[i], F_GETFD, 0), EBADF));
    EXPECT(linux_window_columns(wild[i]) == 0);
  }
  close(fd);
  EXPECT(linux_window_columns(1) >= 0);

  EXPECT(FAILS(linux_open("/nowhere/at/all", O_RDONLY, 0), ENOENT));
  EXPECT(FAILS(linux_open("", O_RDONLY, 0), ENOENT));
  /* No null path: open(2) is declared without, and Swift passes strings. */
  fd = linux_open("/dev/null", O_RDWR, UINT_MAX);
  EXPECT(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  close(fd);
  char path[] = "/tmp/ringway-check-XXXXXX";
  fd = mkstemp(path);
  close(fd);
  unlink(path);
  fd = linux_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  struct stat info;
  EXPECT(fd >= 0 && fstat(fd, &info) == 0 && (info.st_mode & 0777) == 0600);
  unlink(path);
  close(fd);
  /* Flags that mean nothing are passed over by open(2); what counts is that nothing here trips over them. */
  EACH(i) {
    fd = linux_open("/dev/null", wild[i] & ~O_CREAT & ~O_DIRECTORY, UINT_MAX);
    if (fd >= 0) close(fd);
    checks += 1;
  }
}

/* What a program writes that is started with a pipe as its standard output, and where and what it is. */
static void programs(void) {
  int ends[2];
  EXPECT(pipe(ends) == 0 && linux_unread(ends[0]) == 0 && write(ends[1], "abc", 3) == 3 && linux_unread(ends[0]) == 3);
  char bytes[4096];
  EXPECT(read(ends[0], bytes, sizeof bytes) == 3);
  EACH(i) EXPECT(linux_unread(wild[i]) == -1);
  int fds[3] = { 0, fcntl(ends[1], F_DUPFD_CLOEXEC, 10), fcntl(2, F_DUPFD_CLOEXEC, 10) };
  fds[0] = fcntl(ends[0], F_DUPFD_CLOEXEC, 10);
  char *const arguments[] = { "sh", "-c", "echo $#; exit 3", NULL };
  int status = 0;
  const char *failed;
  signal(SIGPIPE, SIG_IGN);
  int pid = linux_spawn("/bin/sh", arguments, NULL, NULL, 0, fds, 3, &failed);
  EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3);
  EXPECT(read(ends[0], bytes, sizeof bytes) == 2 && bytes[0] == '0');
  char *const told[] = { "sh", "-c", "echo $NAME; pwd; cut -d' ' -f1,5 /proc/$$/stat", NULL }, *const environment[] = { "NAME=value", "PATH=/bin:/usr/bin", NULL };
  for (int leads = 0; leads < 2; leads++) {
    pid = linux_spawn("/bin/sh", told, environment, "/tmp", leads, fds, 3, &failed);
    EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    char expected[64];
    int length = snprintf(expected, sizeof expected, "value\n/tmp\n%d %d\n", pid, leads ? pid : getpgrp());
    EXPECT(read(ends[0], bytes, sizeof bytes) == length && memcmp(bytes, expected, (size_t)length) == 0);
  }
  EXPECT(FAILS(linux_spawn("/bin/sh", arguments, NULL, "/nonexistent", 1, fds, 3, &failed), ENOENT) && strcmp(failed, "chdir") == 0);
  EXPECT(FAILS(linux_spawn("/nonexistent", arguments, NULL, NULL, 0, fds, 3, &failed), ENOENT) && strcmp(failed, "execve") == 0);
  EXPECT(FAILS(linux_spawn("/", arguments, NULL, NULL, 0, fds, 3, &failed), EACCES));
  EACH(i) {
    int bad[1] = { wild[i] };
    if (wild[i] < 0 || wild[i] > 100) EXPECT(FAILS(linux_spawn("/bin/sh", arguments, NULL, NULL, 0, bad, 1, &failed), EBADF) && strcmp(failed, "dup2") == 0);
  }
  sigset_t blocked;
  EXPECT(sigprocmask(SIG_SETMASK, NULL, &blocked) == 0 && !sigismember(&blocked, SIGTERM));
  EXPECT(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
  for (int i = 0; i < 3; i++) close(fds[i]);
  close(ends[0]);
  close(ends[1]);
}

/* Where close_range(2) is forbidden, and where more is open than may be: all from one on are closed, and none below it. */
static void closed_otherwise(void) {
  struct sock_filter steps[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = { sizeof steps / sizeof *steps, steps };
  int status;
  pid_t child = fork();
  if (child == 0) {
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
    EXPECT(FAILS(syscall(SYS_close_range, 900, ~0U, 0), EPERM));
    for (int fd = 10; fd < 1000; fd++) EXPECT(dup2(0, fd) == fd);
    struct rlimit few = { 40, 1024 };
    EXPECT(setrlimit(RLIMIT_NOFILE, &few) == 0);
    linux_close_from(20);
    for (int fd = 10; fd < 1000; fd++) if ((fcntl(fd, F_GETFD) >= 0) != (fd < 20)) _exit(1);
    _exit(0);
  }
  EXPECT(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A Ctrl-Z that meets a child before it leads its own group does not stop it there, where its parent would wait for it. Another process
   presses the key all the while. */
static void suspended(void) {
  pid_t child = fork(), status;
  if (child == 0) {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    EXPECT(setpgid(0, 0) == 0 && sigprocmask(SIG_BLOCK, &stop, NULL) == 0);
    pid_t group = getpid(), presser = fork();
    if (presser == 0) {
      setpgid(0, 0);
      prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      while (kill(-group, SIGTSTP) == 0) {}
      _exit(0);
    }
    int fds[3] = { 0, 1, 2 };
    char *const arguments[] = { "true", NULL };
    const char *failed;
    /* Ends it where it would wait for ever. */
    alarm(60);
    for (int i = 0; i < 300; i++) {
      pid_t pid = linux_spawn("/bin/true", arguments, NULL, NULL, 1, fds, 3, &failed);
      EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    }
    EXPECT(kill(presser, SIGKILL) == 0 && waitpid(presser, &status, 0) == presser);
    _exit(0);
  }
  EXPECT(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Descriptors through a socket: as many as the kernel takes at once, and no more. */
static void handed_over(void) {
  int ends[2], fds[LINUX_MOST_SENT + 1], got[LINUX_MOST_SENT];
  struct stat sent, came;
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && fstat(ends[0], &sent) == 0);
  for (int i = 0; i <= LINUX_MOST_SENT; i++) fds[i] = ends[0];
  int counts[] = { 1, 2, 3, LINUX_MOST_SENT - 1, LINUX_MOST_SENT };
  for (int c = 0; c < 5; c++) {
    int count = counts[c];
    EXPECT(linux_send_descriptors(ends[0], fds, count) == 0 && linux_receive_descriptors(ends[1], got, LINUX_MOST_SENT) == count);
    for (int i = 0; i < count; i++) {
      EXPECT(fstat(got[i], &came) == 0 && came.st_ino == sent.st_ino && fcntl(got[i], F_GETFD) == FD_CLOEXEC);
      close(got[i]);
    }
    /* Who has no room for all is left with none open. */
    if (count > 1) {
      EXPECT(linux_send_descriptors(ends[0], fds, count) == 0 && linux_receive_descriptors(ends[1], got, 1) == 1);
      int next = fcntl(0, F_DUPFD, 3);
      EXPECT(next == got[0] + 1 || next < got[0]);
      close(next);
      close(got[0]);
    }
  }
  EXPECT(FAILS(linux_send_descriptors(ends[0], fds, LINUX_MOST_SENT + 1), EINVAL));
  EACH(i) {
    if (wild[i] < 1 || wild[i] > LINUX_MOST_SENT) EXPECT(FAILS(linux_send_descriptors(ends[0], fds, wild[i]), EINVAL));
    if (wild[i] < 0 || wild[i] > 1000) {
      EXPECT(FAILS(linux_send_descriptors(wild[i], fds, 1), EBADF) && FAILS(linux_receive_descriptors(wild[i], got, 1), EBADF));
      fds[0] = wild[i];
      EXPECT(FAILS(linux_send_descriptors(ends[0], fds, 1), EBADF));
      fds[0] = ends[0];
    }
  }
  /* A byte without descriptors. */
  EXPECT(write(ends[0], "x", 1) == 1 && FAILS(linux_receive_descriptors(ends[1], got, LINUX_MOST_SENT), EBADMSG));
  close(ends[0]);
  EXPECT(linux_receive_descriptors(ends[1], got, LINUX_MOST_SENT) == 0);
  EXPECT(FAILS(linux_send_descriptors(ends[1], fds + 1, 1), EBADF));
  close(ends[1]);
}

/* A process in a group of its own that waits for ever. */
static pid_t sleeper(void) {
  pid_t child = fork();
  if (child == 0) for (;;) pause();
  EXPECT(child > 0 && setpgid(child, child) == 0);
  return child;
}

/* At the end of its pipe the guard kills the groups that stand in its file as they should, and no other. */
static void guards(void) {
  pid_t listed = sleeper(), torn = sleeper(), status;
  int ends[2], groups = linux_memfd("groups");
  EXPECT(groups >= 0 && pipe(ends) == 0 && fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0);
  uint64_t words[] = { linux_group_word(listed), (uint32_t)torn, ~linux_group_word(torn), linux_group_word(0), linux_group_word(1), UINT64_MAX };
  EXPECT(pwrite(groups, words, sizeof words, 8 * 700) == sizeof words && write(ends[1], "x", 1) == 1);
  pid_t watch = linux_spawn_guard(ends[0], groups, "check-guard");
  EXPECT(watch > 0);
  sigset_t blocked;
  EXPECT(sigprocmask(SIG_SETMASK, NULL, &blocked) == 0 && !sigismember(&blocked, SIGTERM));
  kill(watch, SIGTERM);
  close(ends[0]);
  EXPECT(waitpid(listed, &status, WNOHANG) == 0 && waitpid(watch, &status, WNOHANG) == 0);
  close(ends[1]);
  EXPECT(waitpid(watch, &status, 0) == watch && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT(waitpid(listed, &status, 0) == listed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT(waitpid(torn, &status, WNOHANG) == 0 && kill(torn, SIGKILL) == 0 && waitpid(torn, &status, 0) == torn);
  EACH(i) {
    /* It finds out by itself: nobody else waits for it. */
    watch = linux_spawn_guard(wild[i], groups, "");
    EXPECT(watch > 0 && waitpid(watch, &status, 0) == watch && WIFEXITED(status) && WEXITSTATUS(status) == 1);
  }
  close(groups);
}

static void hints(void) {
  linux_pause();
  linux_prefetch_for_writing(&checks);
  linux_prefetch_for_writing(NULL);
  linux_prefetch_for_writing((const void *)UINTPTR_MAX);
  checks += 4;
}

int main(void) {
  futexes();
  memory();
  processes();
  descriptors();
  programs();
  closed_otherwise();
  suspended();
  handed_over();
  guards();
  hints();
  printf("CLinux: %d checks, nothing undefined\n", checks);
  return 0;
}
