#pragma once
/* Stepping a process instruction by instruction. ptrace(2) is variadic in glibc, and registers are a processor's own.
   Every function but the first two is the tracer's; -1 is an error in errno. x86-64 only: elsewhere ENOSYS. */

int trace_me(void);                      /* lets the parent trace this process */
void trace_mark(void);                   /* stops here; the tracer sees a breakpoint */

int trace_await(int pid);                /* waits until it has stopped: 1, or has ended: 0 (and is reaped) */
int trace_begin(int pid);                /* after the first stop: its forks are traced, and nothing outlives the tracer */
int trace_continue(int pid);
int trace_step(int pid);                 /* one instruction, then `trace_await` */
unsigned long trace_place(int pid);      /* the address of the next instruction */
enum trace_next { TRACE_ORDINARY, TRACE_MARK, TRACE_SLEEP };
int trace_next(int pid);                 /* what the next instruction is: `trace_next`. SLEEP is a wait on a futex */
/* Makes the process fork between two instructions, at no cost to either: both go on where it stood. `gate` is its place at a mark.
   The new process is the tracer's child. Returns its number. */
int trace_fork(int pid, unsigned long gate);
int trace_kill(int pid);                 /* SIGKILL, and waits until it is reaped */
