#define _GNU_SOURCE
#include "cbench.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int cbench_fork(unsigned seconds) {
  int pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    /* Whoever started us may have blocked it, and a child that nothing ends would stay for ever. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    signal(SIGALRM, SIG_DFL);
    alarm(seconds);
  }
  return pid;
}
void cbench_exit(int status) { _exit(status); }
int cbench_wait(int pid, int *ended) {
  int status = 0, got;
  while ((got = waitpid(pid, &status, 0)) < 0)
    if (errno != EINTR) return -1;
  if (ended) *ended = got;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
void cbench_kill(int pid) { kill(pid, SIGKILL); }
void cbench_pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}
void cbench_pause_us(unsigned microseconds) {
  struct timespec t = { microseconds / 1000000, microseconds % 1000000 * 1000L };
  while (nanosleep(&t, &t) != 0) {}
}
uint64_t cbench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* 128 bytes apart: processors fetch lines in pairs. */
struct lane { _Alignas(128) _Atomic uint64_t count; _Atomic uint64_t sum; _Atomic int ready; };
struct cbench_page { _Alignas(128) _Atomic int started; _Alignas(128) _Atomic int stopped; _Alignas(128) _Atomic uint64_t next; struct lane lanes[]; };

enum { LANES = 128, PAGE_BYTES = sizeof(struct cbench_page) + LANES * sizeof(struct lane) };
struct cbench_page *cbench_page_make(void) {
  void *p = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}
void cbench_page_free(struct cbench_page *page) { munmap(page, PAGE_BYTES); }
void cbench_lane_ready(struct cbench_page *page, int lane) {
  atomic_store(&page->lanes[lane].ready, 1);
  while (!atomic_load(&page->started)) cbench_pause_us(50);
}
void cbench_wait_ready(struct cbench_page *page, int lanes) {
  for (int i = 0; i < lanes; i++)
    while (!atomic_load(&page->lanes[i].ready)) cbench_pause_us(100);
}
void cbench_start(struct cbench_page *page) { atomic_store(&page->started, 1); }
void cbench_stop(struct cbench_page *page) { atomic_store(&page->stopped, 1); }
uint64_t cbench_next(struct cbench_page *page) { return atomic_fetch_add_explicit(&page->next, 1, memory_order_relaxed); }
int cbench_is_stopped(const struct cbench_page *page) {
  return atomic_load_explicit(&((struct cbench_page *)page)->stopped, memory_order_relaxed);
}
void cbench_note(struct cbench_page *page, int lane, uint64_t count, uint64_t sum) {
  atomic_store_explicit(&page->lanes[lane].count, count, memory_order_relaxed);
  atomic_store_explicit(&page->lanes[lane].sum, sum, memory_order_relaxed);
}
uint64_t cbench_count(const struct cbench_page *page, int lane) {
  return atomic_load_explicit(&((struct cbench_page *)page)->lanes[lane].count, memory_order_relaxed);
}
uint64_t cbench_sum(const struct cbench_page *page, int lane) {
  return atomic_load_explicit(&((struct cbench_page *)page)->lanes[lane].sum, memory_order_relaxed);
}

uint64_t *cbench_map_count(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return NULL;
  void *p = ftruncate(fd, 8) == 0 ? mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  close(fd);
  return p == MAP_FAILED ? NULL : p;
}
void cbench_store(uint64_t *word, uint64_t value) { atomic_store_explicit((_Atomic uint64_t *)word, value, memory_order_relaxed); }
