#pragma once
/* What the measurements need and Swift cannot do: to fork, to pin, and the contenders that are written in C.
   Only the target `bench` uses it, and it is not installed. */
#include <stddef.h>
#include <stdint.h>

/* Processes. A child dies with its parent and after `seconds` at the latest, so that a contender that hangs ends. */
int cbench_fork(unsigned seconds); /* fork(2): 0 in the child */
_Noreturn void cbench_exit(int status);
int cbench_wait(int pid, int *ended); /* of this child, or -1 of any: its status, or 128 + the signal; -1 when there is none */
void cbench_kill(int pid);
void cbench_pin(int cpu);          /* sched_setaffinity(2); a CPU that is not there is ignored */
void cbench_pause_us(unsigned microseconds);
uint64_t cbench_now(void);         /* CLOCK_MONOTONIC in nanoseconds */

/* A page that the processes of one measurement share: each has a lane of its own, which nobody else writes. */
struct cbench_page;
struct cbench_page *cbench_page_make(void); /* 128 lanes; NULL and errno */
void cbench_page_free(struct cbench_page *page);
void cbench_lane_ready(struct cbench_page *page, int lane); /* and waits for the start */
void cbench_wait_ready(struct cbench_page *page, int lanes);
void cbench_start(struct cbench_page *page);
void cbench_stop(struct cbench_page *page);
uint64_t cbench_next(struct cbench_page *page); /* 0, 1, 2, ... each to one caller */
int cbench_is_stopped(const struct cbench_page *page);
/* So many messages so far, and the sum of their numbers. */
void cbench_note(struct cbench_page *page, int lane, uint64_t count, uint64_t sum);
uint64_t cbench_count(const struct cbench_page *page, int lane);
uint64_t cbench_sum(const struct cbench_page *page, int lane);

/* Messages: the number in bytes 0..7, the producer in 8..15, then anything. */
void cbench_stamp(void *message, uint64_t number, uint64_t producer);
void cbench_fill(void *message, size_t size, uint64_t number, uint64_t producer); /* every byte is written */
uint64_t cbench_touch(const void *message, size_t size);                          /* every cache line is read */

/* What a consumer has seen of each producer: the numbers must rise. */
struct cbench_check { uint64_t next[64]; uint64_t count, sum; };
int cbench_see(struct cbench_check *check, const void *message, size_t size); /* 0: in order; touches the message */

/* The contenders. */
enum cbench_kind { CBENCH_SPSC, CBENCH_PIPE, CBENCH_SOCKETS };
struct cbench_channel;
struct cbench_channel *cbench_channel_make(enum cbench_kind kind, size_t size); /* NULL and errno */
void cbench_channel_free(struct cbench_channel *channel);
/* The loops of the two sides, in a child, from the start to the end; 0, or what went wrong. */
int cbench_produce(struct cbench_channel *, struct cbench_page *, int lane, uint64_t producer, size_t size);
int cbench_consume(struct cbench_channel *, struct cbench_page *, int lane, size_t size, int checks_gaps);
void cbench_channel_close(struct cbench_channel *); /* no more messages will come: in the parent, after the producers */
void cbench_channel_reads(struct cbench_channel *); /* this process only reads: its end of the file stays open otherwise */
/* Echoes until the channel ends; sends and waits for the echo once. */
int cbench_echo(struct cbench_channel *there, struct cbench_channel *back, size_t size);
int cbench_ping(struct cbench_channel *there, struct cbench_channel *back, void *message, size_t size);
/* Copies `size` bytes again and again on one core until stopped, noting how often. */
int cbench_copy(struct cbench_page *page, int lane, size_t size);

/* The workload W3: SHA-256, and then of its result again, `rounds` times in all, with one context kept all the while. */
struct cbench_hash;
struct cbench_hash *cbench_hash_make(void);
void cbench_hash_free(struct cbench_hash *hash);
int cbench_hash_rounds(struct cbench_hash *hash, const void *message, size_t size, int rounds, uint8_t digest[32]);

/* Eight bytes of a file, mapped, so that another process can follow a count at no cost. NULL and errno. */
uint64_t *cbench_map_count(const char *path);
void cbench_store(uint64_t *word, uint64_t value);
