// The oracle of the torture: says whether a file holds every message that it should, once, whole, and in order.
//
// It knows the program under test only by what it promises, and shares no code with it. What a message must look like is
// written in Sources/bench/TortureMessage.swift and once more here, on purpose: two programs that agree byte for byte on
// every message leave little room for a common mistake.
//
//   oracle --seed S --limit BYTES --count N [--fan LEVEL,BURST,EVERY]... [--given-up EVERY [--letters]] [--dropped N] --route LEVELS:SOURCE,SOURCE... [--ordered] FILE
//
// A route is a way by which messages reach the file: the transforms that they passed ("", 1, 2 or 12) and the sources
// (in hexadecimal) that they come from. --ordered asks that each source's messages of each route stand in their order.
// The transform of level 1 gives up one message in EVERY; with --letters the file holds these, as they came to it.
// --dropped is for a file whose queue drops what it has no room for: exactly so many of all messages may not be there, and no other N is right.
//
// Prints one line; exits with 0 when the file is right, 1 when it is not, 2 when it was asked wrongly.

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 49, MOST_ROUTES = 8, MOST_SOURCES = 256 };

struct fan { uint64_t burst, every; };

// Where the messages of one source on one route stand in the count of what was seen.
struct track {
  bool is_used;
  uint64_t *first;   // of message n; [count] is how many there are
  uint8_t *seen;
  int64_t last;      // the latest in the file
};

struct route {
  bool passes[3];    // [1] and [2]
  struct track tracks[MOST_SOURCES];
};

static uint64_t seed, limit, count;
static struct fan fans[3];
// The transform of level 1 gives up one message in so many, 0 for none; and whether the file holds those.
static uint64_t given_up_every;
static bool is_of_letters;
static struct route routes[MOST_ROUTES];
static int route_count;

static void complain(const char *format, const char *text) {
  fprintf(stderr, format, text);
  fputc('\n', stderr);
  exit(2);
}

static void *reserve(uint64_t n, uint64_t size) {
  void *memory = calloc(n ? n : 1, size);
  if (!memory) complain("oracle: %s", "no memory");
  return memory;
}

// --- what a message is drawn from

static uint64_t scramble(uint64_t z) {
  z ^= z >> 30;
  z *= UINT64_C(0xbf58476d1ce4e5b9);
  z ^= z >> 27;
  z *= UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static const uint64_t gamma_ = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t draw(uint64_t x) { return scramble(x + gamma_); }

static uint64_t source_key(uint64_t source, uint64_t n) { return draw(draw(seed ^ (source + 1) * gamma_) ^ n); }

static uint64_t child_key(uint64_t key, uint64_t level, uint64_t mark) { return draw(key ^ draw(level << 32 | mark)); }

static uint64_t length_of(uint64_t key) {
  uint64_t u = draw(key ^ 1);
  if ((u & 15) == 0) return limit;
  if ((u & 15) == 1) return HEAD;
  return HEAD + (((u >> 16) % (limit - HEAD + 1)) >> ((u >> 4) & 7));
}

static bool is_made(uint64_t key) { return draw(key ^ 6) % 16 != 0; }

static bool is_given_up(uint64_t key) { return given_up_every && draw(key ^ 9) % given_up_every == 0; }

static uint64_t children(uint64_t key, int level) {
  if (fans[level].burst && draw(key ^ 3) % fans[level].every == 0) return fans[level].burst;
  uint64_t r = draw(key ^ 2) % 64;
  if (r < 8) return 0;
  if (r < 56) return 1;
  return 2 + r % 3;
}

// --- what is expected

// How many messages become of one whose key is given, from this level on.
static uint64_t leaves(const struct route *route, uint64_t key, int level) {
  if (level == 3) return 1;
  if (!route->passes[level]) return leaves(route, key, level + 1);
  if (level == 1 && is_given_up(key)) return 0;
  uint64_t made = children(key, level), sum = 0;
  if (level == 2 || !route->passes[2]) return made;
  for (uint64_t i = 0; i < made; i++) sum += leaves(route, child_key(key, 1, i + 1), 2);
  return sum;
}

static void expect(struct route *route, uint64_t source) {
  struct track *track = &route->tracks[source];
  track->is_used = true;
  track->last = -1;
  track->first = reserve(count + 1, sizeof *track->first);
  uint64_t sum = 0;
  for (uint64_t n = 0; n < count; n++) {
    track->first[n] = sum;
    uint64_t key = source_key(source, n);
    if (is_made(key)) sum += is_of_letters ? is_given_up(key) : leaves(route, key, 1);
  }
  track->first[count] = sum;
  track->seen = reserve(sum, 1);
}

// --- what is found

static uint64_t expected, found, lost, dropped, doubled, corrupt, disordered;

static void tell(uint64_t number, const char *what, const char *line, uint64_t length) {
  if (number <= 10) fprintf(stderr, "%s: %.*s\n", what, (int)(length < HEAD ? length : HEAD), line);
}

static bool read_hexadecimal(const char *text, int digits, uint64_t *value) {
  *value = 0;
  for (int i = 0; i < digits; i++) {
    char c = text[i];
    if (c >= '0' && c <= '9') *value = *value << 4 | (uint64_t)(c - '0');
    else if (c >= 'a' && c <= 'f') *value = *value << 4 | (uint64_t)(c - 'a' + 10);
    else return false;
  }
  return true;
}

static uint64_t hash_of(uint64_t source, uint64_t n, const uint64_t mark[3], const char *line, uint64_t length) {
  uint64_t h = UINT64_C(0x6a09e667f3bcc908);
  uint64_t head[5] = {source, n, mark[1], mark[2], length};
  for (int i = 0; i < 5; i++) {
    h = (h ^ head[i]) * gamma_;
    h ^= h >> 32;
  }
  uint64_t at = HEAD;
  for (; at + 8 <= length; at += 8) {
    uint64_t word;
    memcpy(&word, line + at, 8);
    h = (h ^ word) * gamma_;
    h ^= h >> 32;
  }
  uint64_t word = 0;
  memcpy(&word, line + at, length - at);
  h = (h ^ word) * gamma_;
  h ^= h >> 32;
  return draw(h);
}

// Whether the body is the one that the key makes, byte for byte.
static bool is_body(uint64_t key, const char *body, uint64_t length) {
  for (uint64_t i = 0; i * 8 < length; i++) {
    uint64_t word = scramble(key + (i + 1) * gamma_) | UINT64_C(0x4040404040404040);
    if (memcmp(&word, body + i * 8, length - i * 8 < 8 ? length - i * 8 : 8) != 0) return false;
  }
  return true;
}

// The place of a message among those of its source on its route; -1 when there is no such message.
static int64_t place(const struct route *route, const struct track *track, uint64_t n, const uint64_t mark[3]) {
  if (n >= count || track->first[n] == track->first[n + 1]) return -1;
  uint64_t key = source_key((uint64_t)(track - route->tracks), n), at = track->first[n];
  for (int level = 1; level <= 2; level++) {
    if (!route->passes[level]) continue;
    if (mark[level] < 1 || mark[level] > children(key, level)) return -1;
    if (level == 1 && route->passes[2]) {
      for (uint64_t i = 1; i < mark[1]; i++) at += leaves(route, child_key(key, 1, i), 2);
    } else {
      at += mark[level] - 1;
    }
    key = child_key(key, (uint64_t)level, mark[level]);
  }
  return (int64_t)at;
}

static void check(const char *line, uint64_t length, bool is_ordered) {
  uint64_t source = 0, n = 0, mark[3] = {0}, said = 0, hash = 0;
  bool is_read = length >= HEAD && read_hexadecimal(line, 2, &source) && read_hexadecimal(line + 3, 10, &n)
    && read_hexadecimal(line + 14, 4, &mark[1]) && read_hexadecimal(line + 19, 4, &mark[2]) && read_hexadecimal(line + 24, 7, &said)
    && read_hexadecimal(line + 32, 16, &hash) && line[2] == ' ' && line[13] == ' ' && line[18] == ' ' && line[23] == ' '
    && line[31] == ' ' && line[48] == ' ';
  found++;
  if (!is_read) return tell(++corrupt, "not a message", line, length);
  for (int r = 0; r < route_count; r++) {
    struct track *track = &routes[r].tracks[source];
    if (!track->is_used || routes[r].passes[1] != (mark[1] > 0) || routes[r].passes[2] != (mark[2] > 0)) continue;
    uint64_t key = source_key(source, n);
    for (int level = 1; level <= 2; level++) if (mark[level]) key = child_key(key, (uint64_t)level, mark[level]);
    if (said != length || length != length_of(key)) return tell(++corrupt, "wrong length", line, length);
    if (hash != hash_of(source, n, mark, line, length)) return tell(++corrupt, "wrong hash", line, length);
    if (!is_body(key, line + HEAD, length - HEAD)) return tell(++corrupt, "wrong content", line, length);
    int64_t at = place(&routes[r], track, n, mark);
    if (at < 0) return tell(++corrupt, "never made", line, length);
    if (track->seen[at]) return tell(++doubled, "doubled", line, length);
    track->seen[at] = 1;
    if (is_ordered && at < track->last) tell(++disordered, "out of order", line, length);
    track->last = at;
    return;
  }
  tell(++corrupt, "of no route", line, length);
}

static void count_lost(void) {
  for (int r = 0; r < route_count; r++) {
    for (uint64_t s = 0; s < MOST_SOURCES; s++) {
      struct track *track = &routes[r].tracks[s];
      if (!track->is_used) continue;
      expected += track->first[count];
      for (uint64_t n = 0; n < count; n++) {
        for (uint64_t i = track->first[n]; i < track->first[n + 1]; i++) {
          if (track->seen[i]) continue;
          if (lost++ < 10 && !dropped) {
            fprintf(stderr, "lost: %02" PRIx64 " %010" PRIx64 ", number %" PRIu64 " of what becomes of it on route \"%s%s\"\n", s, n,
              i - track->first[n], routes[r].passes[1] ? "1" : "", routes[r].passes[2] ? "2" : "");
          }
        }
      }
    }
  }
}

// --- the command line

static uint64_t number(const char *text, char **end, int base) {
  errno = 0;
  uint64_t value = strtoull(text, end, base);
  if (*end == text || errno) complain("oracle: \"%s\" is no number", text);
  return value;
}

static void add_fan(char *text) {
  char *end;
  uint64_t level = number(text, &end, 10);
  if (level < 1 || level > 2 || *end != ',') complain("oracle: --fan takes LEVEL,BURST,EVERY, not %s", text);
  fans[level].burst = number(end + 1, &end, 10);
  if (*end != ',') complain("oracle: --fan takes LEVEL,BURST,EVERY, not %s", text);
  fans[level].every = number(end + 1, &end, 10);
  if (fans[level].every == 0) complain("oracle: one in none: %s", text);
}

int main(int argc, char **argv) {
  bool is_ordered = false;
  char *file = NULL, *end, *wanted[MOST_ROUTES];
  for (int i = 1; i < argc; i++) {
    char *value = i + 1 < argc ? argv[i + 1] : "";
    if (!strcmp(argv[i], "--seed")) seed = number(value, &end, 10), i++;
    else if (!strcmp(argv[i], "--limit")) limit = number(value, &end, 10), i++;
    else if (!strcmp(argv[i], "--count")) count = number(value, &end, 10), i++;
    else if (!strcmp(argv[i], "--fan")) add_fan(value), i++;
    else if (!strcmp(argv[i], "--route") && route_count < MOST_ROUTES) wanted[route_count++] = value, i++;
    else if (!strcmp(argv[i], "--given-up")) given_up_every = number(value, &end, 10), i++;
    else if (!strcmp(argv[i], "--dropped")) dropped = number(value, &end, 10), i++;
    else if (!strcmp(argv[i], "--letters")) is_of_letters = true;
    else if (!strcmp(argv[i], "--ordered")) is_ordered = true;
    else if (argv[i][0] != '-' && !file) file = argv[i];
    else complain("oracle: what is \"%s\"?", argv[i]);
  }
  if (!file || limit < HEAD || route_count == 0) complain("%s", "usage: oracle --seed S --limit BYTES --count N [--fan LEVEL,BURST,EVERY]... --route LEVELS:SOURCE,... [--ordered] FILE");
  for (int r = 0; r < route_count; r++) {
    char *at = wanted[r];
    for (; *at == '1' || *at == '2'; at++) routes[r].passes[*at - '0'] = true;
    if (*at != ':') complain("oracle: --route takes LEVELS:SOURCE,..., not %s", wanted[r]);
    do {
      uint64_t source = number(at + 1, &at, 16);
      if (source >= MOST_SOURCES) complain("oracle: no such source in %s", wanted[r]);
      expect(&routes[r], source);
    } while (*at == ',');
  }

  int descriptor = open(file, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (descriptor < 0 || fstat(descriptor, &status)) complain("oracle: %s cannot be read", file);
  uint64_t size = (uint64_t)status.st_size;
  const char *text = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0) : "";
  if (text == MAP_FAILED) complain("oracle: %s cannot be mapped", file);
  for (uint64_t at = 0; at < size;) {
    const char *newline = memchr(text + at, '\n', size - at);
    uint64_t length = newline ? (uint64_t)(newline - text) - at : size - at;
    if (newline) check(text + at, length, is_ordered);
    else tell(++corrupt, "a line without an end", text + at, length);
    at += length + 1;
  }
  count_lost();
  printf("expected %" PRIu64 " found %" PRIu64 " lost %" PRIu64 " doubled %" PRIu64 " corrupt %" PRIu64 " disordered %" PRIu64 "\n", expected, found,
    lost, doubled, corrupt, disordered);
  return lost != dropped || doubled || corrupt || disordered ? 1 : 0;
}
