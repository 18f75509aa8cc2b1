/* The shared half of the benchmark programs; bench.h says what each function is for. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double began_cpu, began_wall;
static double spent_cpu, spent_wall;

const char *bench_option(char **argv, const char *name, const char *otherwise) {
  size_t n = strlen(name);
  for (; *argv != NULL; argv++)
    if (strncmp(*argv, name, n) == 0 && (*argv)[n] == '=') return *argv + n + 1;
  return otherwise;
}

size_t bench_number(char **argv, const char *name, size_t otherwise) {
  const char *s = bench_option(argv, name, NULL);
  return s == NULL ? otherwise : (size_t)strtoull(s, NULL, 10);
}

void bench_die(const char *what) {
  fprintf(stderr, "bench: %s: %s\n", what, errno != 0 ? strerror(errno) : "unexpected");
  exit(1);
}

static void no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int bench_connect(char **argv) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  to.sin_port = htons((uint16_t)bench_number(argv, "port", 0));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) bench_die("connect");
  no_delay(fd);
  return fd;
}

void bench_nonblocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void bench_send(int fd, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);
    if (k < 0) bench_die("send");
    bytes += k;
    n -= (size_t)k;
  }
}

void bench_line(int fd, char *line, size_t room) {
  size_t n = 0;
  char c = 0;
  while (c != '\n') {
    if (recv(fd, &c, 1, 0) != 1) bench_die("recv of a line");
    if (n + 1 < room) line[n++] = c;
  }
  line[n] = '\0';
}

void bench_say(int fd, const char *command, const char *want) {
  char line[1024];
  bench_send(fd, command, strlen(command));
  do {
    bench_line(fd, line, sizeof line);
    errno = 0;
    if (strstr(line, " NO ") != NULL || strstr(line, " BAD ") != NULL || line[0] == '5')
      bench_die(line);
  } while (strncmp(line, want, strlen(want)) != 0);
}

static void to_background(int port) {
  pid_t child;
  fflush(stdout);
  child = fork();
  if (child < 0) bench_die("fork");
  if (child > 0) {
    printf("port=%d pid=%ld\n", port, (long)child);
    fflush(stdout);
    _exit(0);
  }
  if (freopen("/dev/null", "w", stdout) == NULL) bench_die("stdout");
  alarm(600);
}

int bench_serve(void) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t n = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 4096) != 0)
    bench_die("listen");
  if (getsockname(fd, (struct sockaddr *)&at, &n) != 0) bench_die("getsockname");
  no_delay(fd); /* connections accepted here inherit it */
  to_background(ntohs(at.sin_port));
  return fd;
}

int bench_epoll(void) {
  int epfd = epoll_create1(EPOLL_CLOEXEC);
  if (epfd < 0) bench_die("epoll_create1");
  return epfd;
}

void bench_watch(int epfd, int fd, unsigned events, void *data, bool change) {
  struct epoll_event ev = {.events = events, .data.ptr = data};
  if (epoll_ctl(epfd, change ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) != 0) bench_die("epoll_ctl");
}

double bench_wall(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double bench_cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

long bench_rss_now(void) {
  long size = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%ld %ld", &size, &resident) != 2) bench_die("statm");
  fclose(f);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

void bench_begin(void) {
  began_cpu = bench_cpu();
  began_wall = bench_wall();
}

void bench_pause(void) {
  spent_cpu += bench_cpu() - began_cpu;
  spent_wall += bench_wall() - began_wall;
}

void bench_end(size_t n, const char *extra) {
  double cpu = bench_cpu() - began_cpu + spent_cpu, wall = bench_wall() - began_wall + spent_wall;
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  printf("bench n=%zu cpu=%.6f wall=%.6f rss=%ld %s\n", n, cpu, wall, use.ru_maxrss, extra);
  fflush(stdout);
}

const char *bench_dot_end(const char *p, const char *end) {
  while (end - p >= 5) {
    p = memchr(p + 1, '\n', (size_t)(end - p - 1));
    if (p == NULL || end - p < 4) return NULL;
    if (p[1] == '.' && p[2] == '\r' && p[3] == '\n' && p[-1] == '\r') return p + 4;
  }
  return NULL;
}

char *bench_message(size_t size, size_t *n_out) {
  static const char head[] =
      "From: Bench <bench@example.test>\r\nTo: Sink <sink@example.test>\r\nSubject: bench\r\n"
      "Date: Fri, 21 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n";
  static const char line[] =
      "The quick brown fox jumps over the lazy dog and the dog sleeps on, says he. \r\n";
  size_t n = sizeof head - 1, step = sizeof line - 1;
  char *m = malloc(size + sizeof head + step);
  if (m == NULL) bench_die("malloc");
  memcpy(m, head, n);
  for (; n < size; n += step) memcpy(m + n, line, step);
  *n_out = n;
  return m;
}

static bool read_mail(FILE *corpus, struct bench_mail *m) {
  unsigned char size[4];
  if (fread(size, 1, 4, corpus) != 4) return false;
  m->n = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
  if (m->n > m->cap) {
    free(m->p);
    m->p = malloc(m->n);
    m->cap = m->n;
  }
  if (m->p == NULL || fread(m->p, 1, m->n, corpus) != m->n) bench_die("corpus");
  return true;
}

size_t bench_mails(FILE *corpus, struct bench_mail *list, size_t room) {
  size_t count = 0;
  if (corpus == NULL) bench_die("corpus");
  while (count < room && read_mail(corpus, &list[count])) count++;
  return count;
}
