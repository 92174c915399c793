#define _GNU_SOURCE
#include "trace.h"
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

int trace_await(int pid) {
  int status;
  while (waitpid(pid, &status, __WALL) < 0)
    if (errno != EINTR) return -1;
  return WIFSTOPPED(status) ? 1 : 0;
}
int trace_kill(int pid) {
  if (kill(pid, SIGKILL) != 0) return -1;
  int stopped;
  while ((stopped = trace_await(pid)) > 0) {}
  return stopped;
}

#if defined(__x86_64__)

int trace_me(void) { return (int)ptrace(PTRACE_TRACEME, 0, 0, 0); }

/* The system call behind the breakpoint is never reached by the process itself: it is what trace_fork makes it call. */
__attribute__((noinline)) void trace_mark(void) { __asm__ volatile("int3\n\tjmp 1f\n\tsyscall\n1:" ::: "memory"); }
static const unsigned long gate_distance = 2;

int trace_begin(int pid) { return (int)ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK); }
int trace_continue(int pid) { return (int)ptrace(PTRACE_CONT, pid, 0, 0); }
int trace_step(int pid) { return ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0 ? -1 : trace_await(pid); }

unsigned long trace_place(int pid) {
  struct user_regs_struct registers;
  return ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0 ? 0 : registers.rip;
}

int trace_next(int pid) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return -1;
  errno = 0;
  unsigned long code = (unsigned long)ptrace(PTRACE_PEEKTEXT, pid, registers.rip, 0);
  if (errno != 0) return -1;
  if ((code & 0xff) == 0xcc) return TRACE_MARK;
  int is_call = (code & 0xffff) == 0x050f && registers.rax == SYS_futex;
  return is_call && (registers.rsi & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET ? TRACE_SLEEP : TRACE_ORDINARY;
}

int trace_fork(int pid, unsigned long gate) {
  struct user_regs_struct before, call;
  if (ptrace(PTRACE_GETREGS, pid, 0, &before) != 0) return -1;
  before.orig_rax = -1UL; /* no system call to begin again */
  call = before;
  call.rip = gate + gate_distance;
  call.rax = SYS_clone;
  call.rdi = CLONE_PARENT | SIGCHLD;
  call.rsi = call.rdx = call.r10 = call.r8 = 0;
  if (ptrace(PTRACE_SETREGS, pid, 0, &call) != 0) return -1;
  /* It stops once inside the call, with the new process's number, and once behind it. */
  unsigned long child = 0;
  if (trace_step(pid) != 1 || ptrace(PTRACE_GETEVENTMSG, pid, 0, &child) != 0 || child == 0) return -1;
  if (trace_await((int)child) != 1 || ptrace(PTRACE_SETREGS, (int)child, 0, &before) != 0) return -1;
  if (trace_step(pid) != 1 || ptrace(PTRACE_SETREGS, pid, 0, &before) != 0) return -1;
  return (int)child;
}

#else

static int no_such(void) { errno = ENOSYS; return -1; }
int trace_me(void) { return no_such(); }
void trace_mark(void) {}
int trace_begin(int pid) { (void)pid; return no_such(); }
int trace_continue(int pid) { (void)pid; return no_such(); }
int trace_step(int pid) { (void)pid; return no_such(); }
unsigned long trace_place(int pid) { (void)pid; return 0; }
int trace_next(int pid) { (void)pid; return no_such(); }
int trace_fork(int pid, unsigned long gate) { (void)pid; (void)gate; return no_such(); }

#endif
