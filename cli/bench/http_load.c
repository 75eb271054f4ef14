/* A load client for POST requests over one plain HTTP/1.1 connection that stays open.
 *
 * Usage: http_load HOST PORT PATH REQUESTS SECONDS RATE
 *
 * As grpc_load, but that one call waits for the answer to the one before, also with a RATE: their
 * time still counts from when each was due. REQUESTS holds bodies of JSON, each after its length (4
 * bytes, little endian). Prints the microseconds of each call, a line each; last line "errors N".
 * An answer counts if its status is 200 and it says its length.
 */
#define _GNU_SOURCE /* memmem, strcasestr */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ANSWER = 1 << 22, MAX_HEAD = 512 };

static int sock;
static char answer[MAX_ANSWER + 1];
static struct sockaddr_in address = {.sin_family = AF_INET};

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void fail(const char *what) {
  fprintf(stderr, "http_load: %s: %s\n", what, errno ? strerror(errno) : "the server ended it");
  exit(1);
}

static void send_all(const char *data, size_t n) {
  while (n > 0) {
    ssize_t done = send(sock, data, n, MSG_NOSIGNAL);
    if (done <= 0) fail("send");
    data += done;
    n -= (size_t)done;
  }
}

static void connect_anew(void) {
  int one = 1;
  if (sock > 0) close(sock);
  sock = socket(AF_INET, SOCK_STREAM, 0);
  if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof address)) fail("connect");
  setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Whether the answer is 200. */
static int take(void) {
  size_t size = 0, whole = 0;
  while (!whole || size < whole) {
    if (size == MAX_ANSWER) fail("an answer is too long");
    ssize_t got = recv(sock, answer + size, MAX_ANSWER - size, 0);
    if (got <= 0) fail("recv");
    size += (size_t)got;
    answer[size] = 0;
    char *end = whole ? NULL : memmem(answer, size, "\r\n\r\n", 4);
    if (!end) continue;
    char *length = strcasestr(answer, "\r\ncontent-length:");
    if (!length || length > end) fail("an answer has no length");
    whole = (size_t)(end - answer) + 4 + strtoul(length + 17, NULL, 10);
  }
  if (strcasestr(answer, "\r\nconnection: close")) connect_anew();
  return size >= 12 && !memcmp(answer + 9, "200", 3);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: http_load HOST PORT PATH REQUESTS SECONDS RATE\n");
    return 2;
  }
  double seconds = atof(argv[5]), rate = atof(argv[6]);
  FILE *file = fopen(argv[4], "rb");
  if (!file) fail(argv[4]);
  fseek(file, 0, SEEK_END);
  size_t size = (size_t)ftell(file), n_requests = 0;
  rewind(file);
  char *requests = malloc(size + 1);
  size_t *starts = malloc((size / 4 + 1) * sizeof *starts);
  if (!requests || !starts || fread(requests, 1, size, file) != size) fail(argv[4]);
  for (size_t at = 0; at + 4 <= size;) {
    uint32_t n;
    memcpy(&n, requests + at, 4);
    if (n > size - at - 4) fail("the file of requests is cut short");
    starts[n_requests++] = at;
    at += 4 + n;
  }
  if (!n_requests) fail("no request");
  address.sin_port = htons((uint16_t)atoi(argv[2]));
  if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail("address");
  char *out = malloc(size + MAX_HEAD);
  if (!out) fail("memory");
  connect_anew();
  long errors = 0;
  double begin = now_us(), end = begin + seconds * 1e6;
  for (size_t sent = 0;; sent++) {
    double due = rate > 0 ? begin + (double)sent * 1e6 / rate : now_us();
    if (due >= end || now_us() >= end) break;
    if (now_us() < due) usleep((useconds_t)(due - now_us()));
    uint32_t n;
    size_t at = starts[sent % n_requests];
    memcpy(&n, requests + at, 4);
    int head = snprintf(out, MAX_HEAD,
                        "POST %s HTTP/1.1\r\nHost: %s:%s\r\n"
                        "Content-Type: application/json\r\nContent-Length: %u\r\n\r\n",
                        argv[3], argv[1], argv[2], n);
    if (head >= MAX_HEAD) fail("the path is too long");
    memcpy(out + head, requests + at + 4, n);
    send_all(out, (size_t)head + n);
    if (take())
      printf("%.1f\n", now_us() - due);
    else
      errors++;
  }
  printf("errors %ld\n", errors);
  return 0;
}
