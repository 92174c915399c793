#define _GNU_SOURCE
#include "linux_calls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

long linux_futex_wait(const void *word, uint32_t expected, int64_t deadline_ns) {
  struct timespec t = { deadline_ns / 1000000000, deadline_ns % 1000000000 };
  return syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline_ns < 0 ? NULL : &t, NULL, FUTEX_BITSET_MATCH_ANY);
}
long linux_futex_wake(const void *word, int count) { return syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0); }
int linux_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }
int linux_seal_size(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); }
int linux_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
int linux_pidfd_kill(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0); }
int linux_has_ended(int pidfd) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (syscall(SYS_waitid, 3, pidfd, &info, WEXITED | WNOHANG | WNOWAIT, NULL) != 0) return -1;
  return info.si_pid != 0;
}
int linux_reap(int pidfd, int *code, int *status, int64_t *cpu_us, int64_t *peak_kib) {
  siginfo_t info;
  struct rusage usage;
  memset(&info, 0, sizeof info);
  memset(&usage, 0, sizeof usage);
  /* glibc's waitid has no rusage argument; the system call has. P_PIDFD is 3 in the kernel's ABI. */
  if (syscall(SYS_waitid, 3, pidfd, &info, WEXITED | WNOHANG, &usage) != 0) return -1;
  if (info.si_pid == 0) return 0;
  *code = info.si_code;
  *status = info.si_status;
  *cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  *peak_kib = usage.ru_maxrss;
  return 1;
}
int linux_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }
int linux_child_subreaper(int on) { return prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0); }
int linux_signalfd(int fd, const void *set) { return signalfd(fd, set, SFD_CLOEXEC | SFD_NONBLOCK); }
int linux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
int linux_timer(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); }
int linux_timer_set(int fd, int64_t deadline_ns) {
  /* All zeros would disarm it. */
  int64_t at = deadline_ns > 0 ? deadline_ns : 1;
  struct itimerspec once = { .it_value = { at / 1000000000, at % 1000000000 } };
  return timerfd_settime(fd, TFD_TIMER_ABSTIME, &once, NULL);
}
int linux_watch(int a, int b) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = { .events = EPOLLIN };
  if (fd < 0) return -1;
  if (epoll_ctl(fd, EPOLL_CTL_ADD, a, &event) == 0 && epoll_ctl(fd, EPOLL_CTL_ADD, b, &event) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}
/* The size counts in bytes, and is checked first: a negative one would become a huge one. */
static int affinity_size(int count, size_t *size) {
  if (count < 0) { errno = EINVAL; return 0; }
  *size = (size_t)count * sizeof(uint64_t);
  return 1;
}
int linux_affinity(uint64_t *words, int count) {
  size_t size;
  return affinity_size(count, &size) ? sched_getaffinity(0, size, (cpu_set_t *)words) : -1;
}
int linux_set_affinity(int thread, const uint64_t *words, int count) {
  size_t size;
  return affinity_size(count, &size) ? sched_setaffinity(thread, size, (const cpu_set_t *)words) : -1;
}
int linux_populate(void *address, size_t length) { return madvise(address, length, MADV_POPULATE_WRITE); }
int linux_dont_fork(void *address, size_t length) { return madvise(address, length, MADV_DONTFORK); }
int linux_open(const char *path, int flags, unsigned mode) { return open(path, flags | O_CLOEXEC, mode); }
int linux_fcntl(int fd, int command, long argument) { return fcntl(fd, command, argument); }
int linux_lock(int fd) {
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  return fcntl(fd, F_SETLK, &lock);
}
int linux_lock_holder(int fd, int *pid) {
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  if (fcntl(fd, F_GETLK, &lock) != 0) return -1;
  *pid = lock.l_pid > 0 ? lock.l_pid : 0;
  return lock.l_type != F_UNLCK;
}
int linux_allocate(int fd, int64_t length) { return fallocate(fd, 0, 0, length); }
uint64_t linux_birth(int fd) {
  struct statx info;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &info) != 0 || !(info.stx_mask & STATX_BTIME)) return 0;
  return (uint64_t)info.stx_btime.tv_sec * 1000000000u + info.stx_btime.tv_nsec;
}
int linux_window_columns(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int linux_unread(int fd) {
  int count = 0;
  return ioctl(fd, FIONREAD, &count) == 0 ? count : -1;
}

/* Room for as many as the kernel takes at once (SCM_MAX_FD), aligned as a header of theirs must be. */
union rights {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(LINUX_MOST_SENT * sizeof(int))];
};

int linux_send_descriptors(int socket, const int *fds, int count) {
  if (count < 1 || count > LINUX_MOST_SENT) {
    errno = EINVAL;
    return -1;
  }
  char byte = 0;
  struct iovec part = { &byte, 1 };
  union rights rights;
  memset(&rights, 0, sizeof rights);
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = rights.bytes };
  message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
  memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
  ssize_t sent;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -1 : 0;
}

int linux_receive_descriptors(int socket, int *fds, int capacity) {
  char byte;
  struct iovec part = { &byte, 1 };
  union rights rights;
  struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof rights.bytes };
  ssize_t got;
  do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got <= 0) return (int)got;
  int count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    int here = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < here; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + (size_t)i * sizeof(int), sizeof fd);
      if (count < capacity) fds[count++] = fd; else close(fd);
    }
  }
  if (count > 0 && !(message.msg_flags & MSG_CTRUNC)) return count;
  while (count > 0) close(fds[--count]);
  /* Some did not come, since this process may have no more; or nobody has sent any. */
  errno = message.msg_flags & MSG_CTRUNC ? EMFILE : EBADMSG;
  return -1;
}

/* Of a directory's entries as getdents64(2) gives them; the name follows. */
struct entry {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

void linux_close_from(int first) {
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
  /* The number that is free then is the lowest, whatever limit there is by now. */
  close(first);
  int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) {
    for (int fd = first; fd < 1 << 20; fd++) close(fd);
    return;
  }
  _Alignas(struct entry) char room[2048];
  for (long got; (got = syscall(SYS_getdents64, folder, room, sizeof room)) > 0;) {
    for (long at = 0; at < got; at += ((struct entry *)(room + at))->length) {
      const char *name = ((struct entry *)(room + at))->name;
      int fd = 0;
      for (; *name >= '0' && *name <= '9'; name++) fd = fd * 10 + (*name - '0');
      if (*name == 0 && fd >= first && fd != folder) close(fd);
    }
  }
  close(folder);
}

extern char **environ;

/* Between vfork(2) and execve(2) the child runs in the caller's memory: it calls nothing but system calls, and says what failed
   through a variable of the caller. No handler may run in it meanwhile, so every signal is blocked across the call. */
int linux_spawn(const char *path, char *const arguments[], char *const environment[], const char *directory, int leads_group, const int *fds,
                int count, const char **failed) {
  sigset_t all, before;
  pid_t parent = getpid();
  volatile int error = 0;
  const char *volatile step = "vfork";
  sigfillset(&all);
  if (sigprocmask(SIG_BLOCK, &all, &before) != 0) return -1;
  pid_t pid = vfork();
  if (pid == 0) {
    step = "prctl";
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) goto fail;
    /* The parent may have died before that call; then it is somebody else's child by now. */
    if (getppid() != parent) _exit(127);
    step = "setpgid";
    if (leads_group && setpgid(0, 0) != 0) goto fail;
    step = "chdir";
    if (directory != NULL && chdir(directory) != 0) goto fail;
    step = "dup2";
    for (int i = 0; i < count; i++) if (dup2(fds[i], i) < 0) goto fail;
    linux_close_from(count);
    /* What is ignored stays so across execve(2); a handler does not. The system call itself, since glibc's own refuses the two
       signals that it keeps for itself, which its posix_spawn(3) leaves ignored. All zeros are SIG_DFL without flags. */
    long usual[8];
    memset(usual, 0, sizeof usual);
    /* Ctrl-Z may have meant the caller's group while this was in it. To ignore a signal drops it; stopped here, the caller would wait for ever. */
    const int stops[] = { SIGTSTP, SIGTTIN, SIGTTOU };
    usual[0] = (long)SIG_IGN;
    for (int i = 0; leads_group && i < 3; i++) syscall(SYS_rt_sigaction, stops[i], usual, NULL, NSIG / 8);
    usual[0] = (long)SIG_DFL;
    for (int signal = 1; signal < NSIG; signal++) syscall(SYS_rt_sigaction, signal, usual, NULL, NSIG / 8);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    step = "execve";
    execve(path, arguments, environment != NULL ? environment : environ);
  fail:
    error = errno;
    _exit(127);
  }
  if (pid < 0) error = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  if (pid > 0 && error != 0) while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
  *failed = step;
  errno = error;
  return error == 0 ? pid : -1;
}
