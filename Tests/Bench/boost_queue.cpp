// boost::interprocess::message_queue between processes, measured as `bench ring` measures: producers on CPU 0, consumers on
// CPU 1, what the consumers take in a window of time, every cache line read, every number checked.
//
//   boost_queue --size 64 [--producers 1 --consumers 1 --seconds 0.3] [--round-trip]
#include <algorithm>
#include <atomic>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace bip = boost::interprocess;
using Queue = bip::message_queue;

struct Lane {
  alignas(128) std::atomic<uint64_t> count;
  std::atomic<uint64_t> sum;
  std::atomic<bool> ready;
};
struct Page {
  alignas(128) std::atomic<bool> started;
  alignas(128) std::atomic<bool> stopped;
  Lane lanes[64];
};

static Page *page;
static size_t size = 64;
static double seconds = 0.3;
static std::string name;

static uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}
static void sleep_seconds(double s) { usleep(useconds_t(s * 1e6)); }
static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}
static void touch(const char *message, size_t length) {
  uint64_t sum = 0, word;
  for (size_t i = 0; i + 8 <= length; i += 64) {
    memcpy(&word, message + i, 8);
    sum += word;
  }
  asm volatile("" : : "r"(sum) : "memory");
}
// As many as eight megabytes hold, so that its memory stays in the cache like that of the others.
static size_t capacity() { return std::max<size_t>(4, std::min<size_t>(1024, (8u << 20) / size)); }

template <typename Body> static pid_t child(int cpu, Body body) {
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(unsigned(seconds) + 40);
    pin(cpu);
    body();
    _exit(0);
  }
  return pid;
}
static void ready(int lane) {
  page->lanes[lane].ready = true;
  while (!page->started) usleep(50);
}
static void reap(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) {
    fprintf(stderr, "boost_queue: a process ended with status %d\n", status);
    Queue::remove(name.c_str());
    exit(70);
  }
}

static void produce(int lane, uint64_t producer) {
  Queue queue(bip::open_only, name.c_str());
  std::vector<char> message(size, 1);
  memcpy(message.data() + 8, &producer, 8);
  ready(lane);
  uint64_t n = 0;
  for (; !page->stopped; n++) {
    memcpy(message.data(), &n, 8);
    queue.send(message.data(), size, 0);
  }
  page->lanes[lane].count = n;
  page->lanes[lane].sum = n ? n * (n - 1) / 2 : 0;
}
static void consume(int lane) {
  Queue queue(bip::open_only, name.c_str());
  std::vector<char> message(size);
  uint64_t next[64] = {}, count = 0, sum = 0;
  ready(lane);
  for (;;) {
    Queue::size_type got;
    unsigned priority;
    queue.receive(message.data(), size, got, priority);
    if (got < 16) return;  // the end
    uint64_t n, producer;
    memcpy(&n, message.data(), 8);
    memcpy(&producer, message.data() + 8, 8);
    touch(message.data(), got);
    if (producer >= 64 || n < next[producer]) _exit(1);
    next[producer] = n + 1;
    page->lanes[lane].count.store(++count, std::memory_order_relaxed);
    page->lanes[lane].sum.store(sum += n, std::memory_order_relaxed);
  }
}

static void throughput(int producers, int consumers) {
  Queue queue(bip::create_only, name.c_str(), capacity(), size);
  std::vector<pid_t> pids;
  for (int i = 0; i < consumers; i++) pids.push_back(child(1, [=] { consume(i); }));
  for (int i = 0; i < producers; i++) pids.push_back(child(0, [=] { produce(consumers + i, uint64_t(i)); }));
  for (size_t i = 0; i < pids.size(); i++)
    while (!page->lanes[i].ready) usleep(100);
  page->started = true;
  auto taken = [&] {
    uint64_t n = 0;
    for (int i = 0; i < consumers; i++) n += page->lanes[i].count;
    return n;
  };
  sleep_seconds(seconds / 3);
  uint64_t before = taken(), start = now();
  sleep_seconds(seconds);
  uint64_t after = taken(), end = now();
  page->stopped = true;
  for (int i = 0; i < producers; i++) reap(pids[size_t(consumers + i)]);
  for (int i = 0; i < consumers; i++) queue.send("", 0, 0);
  for (int i = 0; i < consumers; i++) reap(pids[size_t(i)]);
  uint64_t sent = 0, sums = 0;
  for (int i = 0; i < producers; i++) {
    sent += page->lanes[consumers + i].count;
    sums += page->lanes[consumers + i].sum;
  }
  for (int i = 0; i < consumers; i++) sums -= page->lanes[i].sum;
  Queue::remove(name.c_str());
  if (sent != taken() || sums != 0) {
    fprintf(stderr, "boost_queue: what arrived is not what was sent\n");
    exit(70);
  }
  printf("{\"contender\":\"boost\",\"size\":%zu,\"rate\":%.1f,\"checked\":%llu}\n", size, double(after - before) * 1e9 / double(end - start), (unsigned long long)sent);
}

static void round_trips() {
  std::string back_name = name + "-back";
  Queue there(bip::create_only, name.c_str(), capacity(), size), back(bip::create_only, back_name.c_str(), capacity(), size);
  pid_t echo = child(1, [&] {
    std::vector<char> in(size), out(size, 2);
    for (;;) {
      Queue::size_type got;
      unsigned priority;
      there.receive(in.data(), size, got, priority);
      if (got < 16) return;
      touch(in.data(), got);
      memcpy(out.data(), in.data(), 8);
      back.send(out.data(), size, 0);
    }
  });
  pin(0);
  std::vector<char> out(size, 1), in(size);
  std::vector<uint64_t> all;
  uint64_t start = now(), warm = start + uint64_t(seconds * 0.2e9), end = start + uint64_t(seconds * 1.2e9);
  for (uint64_t n = 0;; n++) {
    uint64_t sent = now(), found;
    if (sent > end && all.size() >= 3) break;
    Queue::size_type got;
    unsigned priority;
    memcpy(out.data(), &n, 8);
    there.send(out.data(), size, 0);
    back.receive(in.data(), size, got, priority);
    touch(in.data(), got);
    memcpy(&found, in.data(), 8);
    uint64_t took = now() - sent;
    if (found != n) exit(70);
    if (sent > warm) all.push_back(took);
  }
  there.send("", 0, 0);
  reap(echo);
  Queue::remove(name.c_str());
  Queue::remove(back_name.c_str());
  std::sort(all.begin(), all.end());
  printf("{\"contender\":\"boost\",\"size\":%zu,\"round_trips\":%zu,\"p50_ns\":%llu,\"p99_ns\":%llu}\n", size, all.size(),
         (unsigned long long)all[all.size() / 2], (unsigned long long)all[all.size() * 99 / 100]);
}

int main(int count, char **arguments) {
  int producers = 1, consumers = 1;
  bool trips = false;
  for (int i = 1; i < count; i++) {
    std::string option = arguments[i];
    if (option == "--round-trip") trips = true;
    else if (i + 1 < count && option == "--size") size = size_t(atoll(arguments[++i]));
    else if (i + 1 < count && option == "--seconds") seconds = atof(arguments[++i]);
    else if (i + 1 < count && option == "--producers") producers = atoi(arguments[++i]);
    else if (i + 1 < count && option == "--consumers") consumers = atoi(arguments[++i]);
    else return 64;
  }
  name = "ringway-bench-" + std::to_string(getpid());
  page = static_cast<Page *>(mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (page == MAP_FAILED || size < 16 || producers + consumers > 64) return 64;
  trips ? round_trips() : throughput(producers, consumers);
}
