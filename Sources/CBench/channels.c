#define _GNU_SOURCE
#include "cbench.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The textbook ring between one producer and one consumer: bytes in a power of two, a header of eight before each message,
   the other side's index cached, spinning. It promises nothing when a process dies. */
enum { RING = 8 << 20, MASK = RING - 1 };
static const uint64_t PADDING = ~0ull;
struct ring {
  _Alignas(128) _Atomic uint64_t tail; /* written by the producer */
  uint64_t head_seen;
  _Alignas(128) _Atomic uint64_t head; /* written by the consumer */
  uint64_t tail_seen;
  _Alignas(128) _Atomic int closed;
  _Alignas(4096) char bytes[RING];
};

struct cbench_channel {
  enum cbench_kind kind;
  struct ring *ring;
  int fd[2]; /* read, write */
};

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

struct cbench_channel *cbench_channel_make(enum cbench_kind kind, size_t size) {
  struct cbench_channel *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->kind = kind;
  int failed = 0;
  if (kind == CBENCH_SPSC) {
    c->ring = mmap(NULL, sizeof *c->ring, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    failed = c->ring == MAP_FAILED;
  } else if (kind == CBENCH_PIPE) {
    failed = pipe2(c->fd, O_CLOEXEC) != 0;
    if (!failed) fcntl(c->fd[1], F_SETPIPE_SZ, 1 << 20);
  } else {
    failed = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c->fd) != 0;
    /* Room for a few of the largest; the kernel doubles it. The forced form goes beyond the system's limit, for root. */
    int room = size * 4 > (1 << 20) ? (int)size * 4 : 1 << 20;
    for (int i = 0; !failed && i < 2; i++) {
      if (setsockopt(c->fd[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0)
        setsockopt(c->fd[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    }
    int got = 0;
    socklen_t n = sizeof got;
    if (!failed && getsockopt(c->fd[1], SOL_SOCKET, SO_SNDBUF, &got, &n) == 0 && (size_t)got < size + 4096) {
      errno = EMSGSIZE;
      failed = 1;
    }
  }
  if (!failed) return c;
  free(c);
  return NULL;
}
void cbench_channel_free(struct cbench_channel *c) {
  if (c->ring) munmap(c->ring, sizeof *c->ring);
  if (c->kind != CBENCH_SPSC) {
    close(c->fd[0]);
    if (c->fd[1] >= 0) close(c->fd[1]);
  }
  free(c);
}
void cbench_channel_close(struct cbench_channel *c) {
  if (c->ring) atomic_store_explicit(&c->ring->closed, 1, memory_order_release);
  else {
    close(c->fd[1]);
    c->fd[1] = -1;
  }
}
void cbench_channel_reads(struct cbench_channel *c) {
  if (c->ring) return;
  close(c->fd[1]);
  c->fd[1] = -1;
}

/* A place for `size` bytes behind a header; spins while the consumer is behind. */
static char *ring_reserve(struct ring *r, size_t size, uint64_t *end) {
  uint64_t need = 8 + ((size + 7) & ~(size_t)7), tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
  uint64_t room = RING - (tail & MASK), skip = room < need ? room : 0;
  while (tail + skip + need - r->head_seen > RING) {
    r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
    if (tail + skip + need - r->head_seen > RING) relax();
  }
  if (skip) memcpy(r->bytes + (tail & MASK), &PADDING, 8);
  tail += skip;
  uint64_t length = size;
  memcpy(r->bytes + (tail & MASK), &length, 8);
  *end = tail + need;
  return r->bytes + (tail & MASK) + 8;
}
/* The next message in place; NULL at the end. */
static char *ring_next(struct ring *r, uint64_t *end) {
  uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed), length;
  for (;;) {
    while (head == r->tail_seen) {
      int closed = atomic_load_explicit(&r->closed, memory_order_acquire);
      r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
      if (head == r->tail_seen) {
        if (closed) return NULL;
        relax();
      }
    }
    memcpy(&length, r->bytes + (head & MASK), 8);
    if (length != PADDING) break;
    head += RING - (head & MASK);
  }
  *end = head + 8 + ((length + 7) & ~7ull);
  return r->bytes + (head & MASK) + 8;
}

static int send_all(struct cbench_channel *c, const char *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = c->kind == CBENCH_PIPE ? write(c->fd[1], bytes + done, size - done) : send(c->fd[1], bytes, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno ? errno : EIO;
    done += (size_t)n;
  }
  return 0;
}
/* 1: a message, 0: the end, -1: errno. */
static int receive_all(struct cbench_channel *c, char *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = read(c->fd[0], bytes + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) return done == 0 ? 0 : -1;
    if (n < 0) return -1;
    done += (size_t)n;
  }
  return 1;
}

int cbench_produce(struct cbench_channel *c, struct cbench_page *page, int lane, uint64_t producer, size_t size) {
  char *message = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
  if (!message) return ENOMEM;
  memset(message, 1, size);
  cbench_lane_ready(page, lane);
  uint64_t n = 0;
  for (; !cbench_is_stopped(page); n++) {
    cbench_stamp(message, n, producer);
    if (c->ring) {
      uint64_t end;
      memcpy(ring_reserve(c->ring, size, &end), message, size);
      atomic_store_explicit(&c->ring->tail, end, memory_order_release);
    } else {
      int failed = send_all(c, message, size);
      if (failed) return failed;
    }
  }
  cbench_note(page, lane, n, n ? n * (n - 1) / 2 : 0);
  return 0;
}
int cbench_consume(struct cbench_channel *c, struct cbench_page *page, int lane, size_t size, int checks_gaps) {
  struct cbench_check check;
  memset(&check, 0, sizeof check);
  char *buffer = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
  if (!buffer) return ENOMEM;
  memset(buffer, 0, size);
  cbench_lane_ready(page, lane);
  for (;;) {
    uint64_t end = 0;
    const char *message = buffer;
    if (c->ring) {
      message = ring_next(c->ring, &end);
      if (!message) break;
    } else {
      int got = receive_all(c, buffer, size);
      if (got < 0) return errno ? errno : EIO;
      if (got == 0) break;
    }
    uint64_t expected = check.count;
    if (cbench_see(&check, message, size) != 0) return EBADMSG;
    if (checks_gaps && check.next[0] != expected + 1) return EBADMSG;
    if (c->ring) atomic_store_explicit(&c->ring->head, end, memory_order_release);
    cbench_note(page, lane, check.count, check.sum);
  }
  return 0;
}

static int put(struct cbench_channel *c, const void *message, size_t size) {
  if (!c->ring) return send_all(c, message, size);
  uint64_t end;
  memcpy(ring_reserve(c->ring, size, &end), message, size);
  atomic_store_explicit(&c->ring->tail, end, memory_order_release);
  return 0;
}
/* Takes one message and reads every line of it; its number must be `*number` unless that is ~0. 1, 0 at the end, or -1. */
static int take(struct cbench_channel *c, char *buffer, size_t size, uint64_t *number) {
  const char *message = buffer;
  uint64_t end = 0, found;
  if (c->ring) {
    message = ring_next(c->ring, &end);
    if (!message) return 0;
  } else {
    int got = receive_all(c, buffer, size);
    if (got <= 0) return got;
  }
  memcpy(&found, message, 8);
  cbench_touch(message, size);
  if (c->ring) atomic_store_explicit(&c->ring->head, end, memory_order_release);
  if (*number != ~0ull && found != *number) return -1;
  *number = found;
  return 1;
}
int cbench_echo(struct cbench_channel *there, struct cbench_channel *back, size_t size) {
  char *buffer = aligned_alloc(4096, (size + 4095) & ~(size_t)4095), *answer = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
  if (!buffer || !answer) return ENOMEM;
  memset(buffer, 1, size);
  memset(answer, 2, size);
  for (;;) {
    uint64_t number = ~0ull;
    int got = take(there, buffer, size, &number);
    if (got < 0) return EBADMSG;
    if (got == 0) return 0;
    cbench_stamp(answer, number, 0);
    int failed = put(back, answer, size);
    if (failed) return failed;
  }
}
int cbench_ping(struct cbench_channel *there, struct cbench_channel *back, void *message, size_t size) {
  static char *buffer;
  static size_t room;
  if (room < size) {
    free(buffer);
    buffer = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
    room = size;
    if (!buffer) return ENOMEM;
    memset(buffer, 0, size);
  }
  uint64_t number;
  memcpy(&number, message, 8);
  int failed = put(there, message, size);
  if (failed) return failed;
  return take(back, buffer, size, &number) == 1 ? 0 : EBADMSG;
}

int cbench_copy(struct cbench_page *page, int lane, size_t size) {
  char *from = aligned_alloc(4096, (size + 4095) & ~(size_t)4095), *to = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
  if (!from || !to) return ENOMEM;
  memset(from, 1, size);
  memset(to, 2, size);
  cbench_lane_ready(page, lane);
  for (uint64_t n = 1; !cbench_is_stopped(page); n++) {
    memcpy(to, from, size);
    __asm__ volatile("" : : "r"(to) : "memory");
    cbench_note(page, lane, n, 0);
  }
  return 0;
}
