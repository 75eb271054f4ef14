/* A load client for unary gRPC calls over one plain HTTP/2 connection.
 *
 * Usage: grpc_load HOST PORT PATH REQUESTS SECONDS RATE [TOKEN]
 *
 * REQUESTS holds serialised requests, each after its length (4 bytes, little endian); they are sent
 * in turn. RATE 0: one call at a time (closed loop). Else so many calls a second, whether answered
 * or not (open loop); their time counts from when each was due, so a server that stalls is not
 * spared (coordinated omission). TOKEN is the file of the token that they carry. Prints the microseconds of each call, a line each; last line
 * "errors N". Speaks just enough HTTP/2 (RFC 9113) and HPACK (RFC 7541) for that: headers are sent
 * as literals, those that come are not read; an answer counts if it has data.
 */
#define _GNU_SOURCE /* ppoll */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { MAX_IN_FLIGHT = 1 << 14, FRAME = 1 << 24 };

static int sock;
static unsigned char *in_buffer, head[512];
static size_t in_size, in_capacity = 1 << 20, head_size;
static double started[MAX_IN_FLIGHT];
static char answered[MAX_IN_FLIGHT];
static uint32_t next_stream = 1;
static long errors, in_flight;

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void fail(const char *what) {
  fprintf(stderr, "grpc_load: %s: %s\n", what, errno ? strerror(errno) : "the server ended it");
  exit(1);
}

static void send_all(const unsigned char *data, size_t n) {
  while (n > 0) {
    ssize_t done = send(sock, data, n, MSG_NOSIGNAL);
    if (done <= 0) fail("send");
    data += done;
    n -= (size_t)done;
  }
}

static void put_frame_head(unsigned char *out, size_t n, int type, int flags, uint32_t stream) {
  out[0] = (unsigned char)(n >> 16), out[1] = (unsigned char)(n >> 8), out[2] = (unsigned char)n;
  out[3] = (unsigned char)type, out[4] = (unsigned char)flags;
  stream = htonl(stream);
  memcpy(out + 5, &stream, 4);
}

static void put_text(const char *text) {
  size_t n = strlen(text);
  if (n > 120) fail("a header is too long");
  head[head_size++] = (unsigned char)n;
  memcpy(head + head_size, text, n);
  head_size += n;
}

/* The same block of headers for every call: nothing enters the table of either side. */
static void make_headers(const char *host, const char *path, const char *token_file) {
  head[head_size++] = 0x83; /* :method POST */
  head[head_size++] = 0x86; /* :scheme http */
  head[head_size++] = 0x04, put_text(path);
  head[head_size++] = 0x01, put_text(host);
  head[head_size++] = 0x0f, head[head_size++] = 0x10, put_text("application/grpc");
  head[head_size++] = 0x00, put_text("te"), put_text("trailers");
  if (token_file) {
    char bearer[120] = "Bearer ";
    FILE *file = fopen(token_file, "r");
    if (!file || !fgets(bearer + 7, sizeof bearer - 7, file)) fail(token_file);
    fclose(file);
    bearer[strcspn(bearer, "\n")] = 0;
    head[head_size++] = 0x1f, head[head_size++] = 0x08; /* authorization, never indexed */
    put_text(bearer);
  }
}

static void call(const unsigned char *request, uint32_t n, double due) {
  static unsigned char out[1 << 20];
  if (n + 600 > sizeof out) fail("a request is too long");
  size_t at = 9;
  memcpy(out + at, head, head_size);
  put_frame_head(out, head_size, HEADERS, END_HEADERS, next_stream);
  at += head_size;
  put_frame_head(out + at, n + 5, DATA, END_STREAM, next_stream);
  at += 9;
  out[at++] = 0; /* not compressed */
  uint32_t length = htonl(n);
  memcpy(out + at, &length, 4);
  memcpy(out + at + 4, request, n);
  at += 4 + n;
  int slot = (int)(next_stream / 2 % MAX_IN_FLIGHT);
  started[slot] = due;
  answered[slot] = 0;
  next_stream += 2;
  in_flight++;
  send_all(out, at);
}

static void end_call(uint32_t stream) {
  int slot = (int)(stream / 2 % MAX_IN_FLIGHT);
  in_flight--;
  if (answered[slot])
    printf("%.1f\n", now_us() - started[slot]);
  else
    errors++;
}

static void take_frame(const unsigned char *frame, size_t n) {
  static size_t unacknowledged;
  int type = frame[3], flags = frame[4];
  uint32_t stream;
  memcpy(&stream, frame + 5, 4);
  stream = ntohl(stream) & 0x7fffffff;
  unsigned char reply[32];
  if (type == SETTINGS && !(flags & ACK)) {
    put_frame_head(reply, 0, SETTINGS, ACK, 0);
    send_all(reply, 9);
  } else if (type == PING && !(flags & ACK)) {
    put_frame_head(reply, 8, PING, ACK, 0);
    memcpy(reply + 9, frame + 9, 8);
    send_all(reply, 17);
  } else if (type == DATA) {
    if (n > 0) answered[stream / 2 % MAX_IN_FLIGHT] = 1;
    unacknowledged += n;
    if (unacknowledged > 1 << 20) { /* the connection's window, given back */
      put_frame_head(reply, 4, WINDOW, 0, 0);
      uint32_t by = htonl((uint32_t)unacknowledged);
      memcpy(reply + 9, &by, 4);
      send_all(reply, 13);
      unacknowledged = 0;
    }
  } else if (type == RST_STREAM) {
    answered[stream / 2 % MAX_IN_FLIGHT] = 0;
    end_call(stream);
  } else if (type == GOAWAY) {
    errno = 0;
    fail("connection");
  }
  if ((type == DATA || type == HEADERS) && (flags & END_STREAM)) end_call(stream);
}

/* Read what has come, for at most so long. */
static void take(double wait_us) {
  struct pollfd p = {sock, POLLIN, 0};
  struct timespec t = {(time_t)(wait_us / 1e6), (long)((long long)wait_us % 1000000 * 1000)};
  if (ppoll(&p, 1, wait_us < 0 ? NULL : &t, NULL) <= 0) return;
  if (in_size + 65536 > in_capacity) {
    in_capacity *= 2;
    if (in_capacity > 2 * FRAME || !(in_buffer = realloc(in_buffer, in_capacity))) fail("memory");
  }
  ssize_t got = recv(sock, in_buffer + in_size, in_capacity - in_size, 0);
  if (got <= 0) fail("recv");
  in_size += (size_t)got;
  size_t at = 0;
  while (in_size - at >= 9) {
    const unsigned char *f = in_buffer + at;
    size_t n = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
    if (in_size - at < 9 + n) break;
    take_frame(f, n);
    at += 9 + n;
  }
  memmove(in_buffer, in_buffer + at, in_size - at);
  in_size -= at;
}

static void connect_to(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int one = 1;
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("address");
  sock = socket(AF_INET, SOCK_STREAM, 0);
  if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof address)) fail("connect");
  setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  static const unsigned char hello[] =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
      "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x7f\xff\xff\xff" /* window of a stream */
      "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00";        /* of the connection */
  send_all(hello, sizeof hello - 1);
}

int main(int argc, char **argv) {
  if (argc != 7 && argc != 8) {
    fprintf(stderr, "usage: grpc_load HOST PORT PATH REQUESTS SECONDS RATE [TOKEN]\n");
    return 2;
  }
  double seconds = atof(argv[5]), rate = atof(argv[6]);
  FILE *file = fopen(argv[4], "rb");
  if (!file) fail(argv[4]);
  fseek(file, 0, SEEK_END);
  size_t size = (size_t)ftell(file), n_requests = 0;
  rewind(file);
  unsigned char *requests = malloc(size + 1);
  const unsigned char **starts = malloc((size / 4 + 1) * sizeof *starts);
  in_buffer = malloc(in_capacity);
  if (!requests || !starts || !in_buffer || fread(requests, 1, size, file) != size) fail(argv[4]);
  for (size_t at = 0; at + 4 <= size;) {
    uint32_t n;
    memcpy(&n, requests + at, 4);
    if (n > size - at - 4) fail("the file of requests is cut short");
    starts[n_requests++] = requests + at;
    at += 4 + n;
  }
  if (!n_requests) fail("no request");
  make_headers(argv[1], argv[3], argc == 8 ? argv[7] : NULL);
  connect_to(argv[1], atoi(argv[2]));
  double begin = now_us(), end = begin + seconds * 1e6;
  for (size_t sent = 0;; sent++) {
    double due = rate > 0 ? begin + (double)sent * 1e6 / rate : now_us();
    if (due >= end) break;
    while (rate > 0 && now_us() < due) take(due - now_us());
    while (in_flight >= MAX_IN_FLIGHT / 2) take(-1);
    uint32_t n;
    memcpy(&n, starts[sent % n_requests], 4);
    call(starts[sent % n_requests] + 4, n, due);
    while (rate == 0 && in_flight > 0) take(-1);
  }
  for (double last = now_us() + 5e6; in_flight > 0 && now_us() < last;) take(1e5);
  printf("errors %ld\n", errors + in_flight);
  return 0;
}
