/*
 * The upstream of the benchmark: a stand-in for a model provider that costs as little as it can, so that what is
 * measured is the proxy. One thread, epoll, keep-alive; answers are encoded once at start, request bodies are read and
 * thrown away. Built and started by `upstream.ts`; `upstream-node.ts` does the same where there is no C compiler.
 *
 * A request says in its header `x-bench` what it wants, for example `x-bench: delay=50` or `x-bench: chunks=64,gap=10`:
 *   delay=MS    wait before the answer
 *   chunks=N    a stream of N events in place of JSON
 *   gap=MS      between the events; 0, the default: one after the other, each written by itself
 * Below `/judge/` it answers `LLM`, as a judge would.
 *
 * Prints `PORT <number>` when it listens on 127.0.0.1, and ends on SIGTERM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define HEAD_SIZE (64 * 1024)
#define SCRATCH_SIZE (256 * 1024)
#define MAX_EVENTS 512

struct text {
  char *bytes;
  size_t length;
};

/* What an answer is made of, encoded at start. */
static struct text json_answer, judge_answer, stream_head, event, last_event, length_required, head_too_large;

enum state { READING_HEAD, READING_BODY, WAITING, STREAMING };

struct connection {
  int fd;
  enum state state;
  char *head; /* what was read of the next request's head */
  size_t head_length;
  uint64_t body_left;
  /* The answer asked for. */
  long delay, chunks, gap;
  int judge;
  long sent_chunks;
  /* Bytes the socket did not take yet: always the rest of one of the texts above, or of a copy. */
  char *rest;
  size_t rest_length;
  int wants_write, closing;
  /* Position in the heap of timers, -1 when it has none. */
  int timer;
  uint64_t deadline;
};

static int epoll_fd, timer_fd;
static char scratch[SCRATCH_SIZE];

/* --- Timers: a binary heap by deadline, one timerfd for the earliest ---------------------------------------------- */

static struct connection **heap;
static int heap_length, heap_capacity;
static uint64_t armed;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void place(int at, struct connection *c) {
  heap[at] = c;
  c->timer = at;
}

static void sift(int at) {
  struct connection *c = heap[at];
  while (at > 0 && heap[(at - 1) / 2]->deadline > c->deadline) {
    place(at, heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  for (;;) {
    int child = 2 * at + 1;
    if (child >= heap_length) break;
    if (child + 1 < heap_length && heap[child + 1]->deadline < heap[child]->deadline) child++;
    if (heap[child]->deadline >= c->deadline) break;
    place(at, heap[child]);
    at = child;
  }
  place(at, c);
}

static void timer_add(struct connection *c, uint64_t deadline) {
  c->deadline = deadline;
  if (heap_length == heap_capacity) {
    heap_capacity = heap_capacity ? heap_capacity * 2 : 1024;
    heap = realloc(heap, (size_t)heap_capacity * sizeof *heap);
    if (!heap) abort();
  }
  heap[heap_length] = c;
  c->timer = heap_length++;
  sift(c->timer);
}

static void timer_remove(struct connection *c) {
  if (c->timer < 0) return;
  int at = c->timer;
  c->timer = -1;
  struct connection *last = heap[--heap_length];
  if (last == c) return;
  place(at, last);
  sift(at);
}

static void timer_arm(void) {
  uint64_t next = heap_length ? heap[0]->deadline : 0;
  if (next == armed) return;
  armed = next;
  struct itimerspec it = {0};
  it.it_value.tv_sec = (time_t)(next / 1000000000ull);
  it.it_value.tv_nsec = (long)(next % 1000000000ull);
  timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &it, NULL);
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

static struct text text_of(const char *bytes) {
  struct text t = {strdup(bytes), strlen(bytes)};
  if (!t.bytes) abort();
  return t;
}

#define COMMON_HEADERS                                                                                                 \
  "x-request-id: req_5f0c3a9b7d2e4c1f8a6b0d9e3c7f1a2b\r\nopenai-processing-ms: 412\r\nopenai-version: 2020-10-01\r\n"  \
  "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"

static struct text json_with(const char *content) {
  char body[4096], whole[8192];
  int length = snprintf(body, sizeof body,
                        "{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion\","
                        "\"created\":1741570283,\"model\":\"gpt-4.1-mini\",\"choices\":[{\"index\":0,\"message\":"
                        "{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null,\"annotations\":[]},"
                        "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":480,"
                        "\"completion_tokens\":150,\"total_tokens\":630,\"prompt_tokens_details\":{\"cached_tokens\":0,"
                        "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
                        "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_fc9f1d7035\"}",
                        content);
  snprintf(whole, sizeof whole,
           "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" COMMON_HEADERS "content-length: %d\r\n\r\n%s", length,
           body);
  return text_of(whole);
}

static struct text chunk_of(const char *data, const char *behind) {
  char whole[2048];
  snprintf(whole, sizeof whole, "%zx\r\n%s\r\n%s", strlen(data), data, behind);
  return text_of(whole);
}

static void prepare(void) {
  char content[600] = "";
  while (strlen(content) < 512) strcat(content, "The coast is an hour away by train from here. ");
  json_answer = json_with(content);
  judge_answer = json_with("LLM");
  stream_head = text_of("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n" COMMON_HEADERS
                        "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n");
#define EVENT(delta, reason)                                                                                           \
  "data: {\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\","                     \
  "\"created\":1741570283,\"model\":\"gpt-4.1-mini\",\"system_fingerprint\":\"fp_fc9f1d7035\",\"choices\":"            \
  "[{\"index\":0,\"delta\":" delta ",\"logprobs\":null,\"finish_reason\":" reason "}]}\n\n"
  event = chunk_of(EVENT("{\"content\":\" by train\"}", "null"), "");
  last_event = chunk_of(EVENT("{}", "\"stop\"") "data: [DONE]\n\n", "0\r\n\r\n");
  length_required = text_of("HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  head_too_large =
      text_of("HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

/* --- Connections -------------------------------------------------------------------------------------------------- */

static void drop(struct connection *c) {
  timer_remove(c);
  close(c->fd);
  free(c->head);
  free(c->rest);
  free(c);
}

static void watch(struct connection *c, int write) {
  if (c->wants_write == write) return;
  c->wants_write = write;
  struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (write ? EPOLLOUT : 0u), .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

/* Sends what the socket takes and keeps the rest. Returns -1 when the connection is gone. */
static int send_bytes(struct connection *c, const char *bytes, size_t length) {
  ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return -1;
  if (sent < 0) sent = 0;
  if ((size_t)sent < length) {
    c->rest_length = length - (size_t)sent;
    c->rest = malloc(c->rest_length);
    if (!c->rest) abort();
    memcpy(c->rest, bytes + sent, c->rest_length);
    watch(c, 1);
  }
  return 0;
}

static void next_request(struct connection *c) {
  c->state = READING_HEAD;
}

/* Goes on with a stream: one event after a gap, or as many as the socket takes. */
static int stream_on(struct connection *c) {
  while (c->rest_length == 0) {
    struct text t = c->sent_chunks + 1 >= c->chunks ? last_event : event;
    if (c->sent_chunks == 0) {
      /* The head goes with the first event. */
      char both[4096];
      memcpy(both, stream_head.bytes, stream_head.length);
      memcpy(both + stream_head.length, t.bytes, t.length);
      if (send_bytes(c, both, stream_head.length + t.length) < 0) return -1;
    } else if (send_bytes(c, t.bytes, t.length) < 0)
      return -1;
    if (++c->sent_chunks >= c->chunks) {
      next_request(c);
      return 0;
    }
    if (c->gap > 0) {
      /* By the clock of the stream, so that lateness does not add up; behind by more than a gap it starts anew. */
      uint64_t gap = (uint64_t)c->gap * 1000000ull, now = now_ns();
      uint64_t from = c->sent_chunks == 1 || c->deadline + gap < now ? now : c->deadline;
      timer_add(c, from + gap);
      return 0;
    }
  }
  return 0;
}

static int answer(struct connection *c) {
  if (c->chunks > 0) {
    c->state = STREAMING;
    c->sent_chunks = 0;
    return stream_on(c);
  }
  next_request(c);
  struct text t = c->judge ? judge_answer : json_answer;
  return send_bytes(c, t.bytes, t.length);
}

static int received(struct connection *c) {
  if (c->delay > 0) {
    c->state = WAITING;
    timer_add(c, now_ns() + (uint64_t)c->delay * 1000000ull);
    return 0;
  }
  return answer(c);
}

static int refuse(struct connection *c, struct text t) {
  c->closing = 1;
  return send_bytes(c, t.bytes, t.length);
}

static long option(const char *value, const char *end, const char *name) {
  size_t length = strlen(name);
  for (const char *at = value; at + length < end; at++)
    if (strncmp(at, name, length) == 0) return strtol(at + length, NULL, 10);
  return 0;
}

/* Reads the head that ends before `end`; the bytes behind it are the body's. */
static int read_head(struct connection *c, char *end) {
  c->delay = c->chunks = c->gap = 0;
  c->body_left = 0;
  int chunked = 0;
  char *line_end = memchr(c->head, '\n', (size_t)(end - c->head));
  char *space = memchr(c->head, ' ', (size_t)(end - c->head));
  c->judge = space && strncmp(space, " /judge/", 8) == 0;
  for (char *line = line_end ? line_end + 1 : end; line < end; line = line_end + 1) {
    line_end = memchr(line, '\n', (size_t)(end - line));
    if (!line_end) break;
    if (strncasecmp(line, "content-length:", 15) == 0) c->body_left = strtoull(line + 15, NULL, 10);
    else if (strncasecmp(line, "transfer-encoding:", 18) == 0) chunked = 1;
    else if (strncasecmp(line, "x-bench:", 8) == 0) {
      c->delay = option(line + 8, line_end, "delay=");
      c->chunks = option(line + 8, line_end, "chunks=");
      c->gap = option(line + 8, line_end, "gap=");
    }
  }
  if (chunked) return refuse(c, length_required);
  size_t behind = c->head_length - (size_t)(end - c->head);
  size_t body = behind < c->body_left ? behind : (size_t)c->body_left;
  c->body_left -= body;
  c->head_length = behind - body;
  memmove(c->head, end + body, c->head_length);
  if (c->body_left > 0) {
    c->state = READING_BODY;
    return 0;
  }
  return received(c);
}

static int try_head(struct connection *c) {
  while (c->state == READING_HEAD && c->head_length > 0 && c->rest_length == 0 && !c->closing) {
    char *end = memmem(c->head, c->head_length, "\r\n\r\n", 4);
    if (!end) return c->head_length == HEAD_SIZE ? refuse(c, head_too_large) : 0;
    if (read_head(c, end + 4) < 0) return -1;
  }
  return 0;
}

static int readable(struct connection *c) {
  if (c->state == READING_BODY) {
    size_t wanted = c->body_left < SCRATCH_SIZE ? (size_t)c->body_left : SCRATCH_SIZE;
    ssize_t got = recv(c->fd, scratch, wanted, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return -1;
    if (got > 0) c->body_left -= (uint64_t)got;
    return c->body_left == 0 ? received(c) : 0;
  }
  if (c->head_length == HEAD_SIZE) return 0;
  ssize_t got = recv(c->fd, c->head + c->head_length, HEAD_SIZE - c->head_length, 0);
  if (got == 0 || (got < 0 && errno != EAGAIN)) return -1;
  if (got > 0) c->head_length += (size_t)got;
  return try_head(c);
}

static int writable(struct connection *c) {
  ssize_t sent = send(c->fd, c->rest, c->rest_length, MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN ? 0 : -1;
  c->rest_length -= (size_t)sent;
  if (c->rest_length > 0) {
    memmove(c->rest, c->rest + sent, c->rest_length);
    return 0;
  }
  free(c->rest);
  c->rest = NULL;
  watch(c, 0);
  if (c->state == STREAMING && c->timer < 0 && stream_on(c) < 0) return -1;
  return try_head(c);
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = calloc(1, sizeof *c);
    if (!c || !(c->head = malloc(HEAD_SIZE))) abort();
    c->fd = fd;
    c->timer = -1;
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
  }
}

static void fire_timers(void) {
  uint64_t expirations;
  if (read(timer_fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) abort();
  armed = 0;
  uint64_t now = now_ns();
  while (heap_length && heap[0]->deadline <= now) {
    struct connection *c = heap[0];
    timer_remove(c);
    if (c->rest_length > 0) continue; /* `writable` goes on */
    if ((c->state == WAITING ? answer(c) : stream_on(c)) < 0 || try_head(c) < 0) drop(c);
  }
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
#ifdef __linux__
  /* Never outlives the benchmark. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  prepare();
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
    perror("upstream");
    return 1;
  }
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  static int listening, timing;
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listening};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
  e.data.ptr = &timing;
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &e);
  printf("PORT %d\n", ntohs(address.sin_port));
  fflush(stdout);
  struct epoll_event events[MAX_EVENTS];
  for (;;) {
    timer_arm();
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
    int due = 0;
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr == &listening) accept_all(listener);
      else if (events[i].data.ptr == &timing) due = 1;
      else {
        struct connection *c = events[i].data.ptr;
        uint32_t what = events[i].events;
        int gone = (what & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
        if (!gone && (what & EPOLLOUT)) gone = writable(c) < 0;
        if (!gone && (what & EPOLLIN)) gone = readable(c) < 0;
        if (!gone && c->closing && c->rest_length == 0) gone = 1;
        if (gone) drop(c);
      }
    }
    /* Behind the events, so that none of them is of a connection that is gone. */
    if (due) fire_timers();
  }
}
