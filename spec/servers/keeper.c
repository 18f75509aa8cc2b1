/*
** keeper: one process that holds one throwaway server for the suite; no part of the library.
**
** usage: keeper PROGRAM ARGUMENT...      "@" in an argument or in the environment's values is the folder below
**
** It makes a private folder, takes orders from a FIFO in it, answers on standard output, and ends when told to,
** when the last writer of the FIFO is gone, or when its parent is gone: then it ends every process that came of
** the server (it is their subreaper, so none escapes), removes the folder and exits. Started by root it runs the
** server as KEEPER_USER (a uid, default that of "nobody"); nothing of the server ever has root rights.
** Orders, one a line, each answered by one line that starts with "ok" or "no":
**   ports N          N free ports of 127.0.0.1          reach PATH    may the server's user execute PATH?
**   start PORT...    run it, until all ports answer ("PORT!": with a greeting)
**   stop             end it and all that came of it
**   signal N         send it a signal                   own           give the folder to the server's user
*/
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_SECONDS 1.0
#define GRACE 0.03
enum { START_SECONDS = 20, MAX_PORTS = 32 };

struct port {
  int number;
  bool greets; /* the server speaks first there */
};

static char folder[] = "/tmp/lua-mail.XXXXXX";
static char **program;
static uid_t uid;
static gid_t gid;
static pid_t server; /* 0 while none runs */
static volatile sig_atomic_t told_to_end;

static void on_signal(int number) {
  (void)number;
  told_to_end = 1;
}

static bool answer(bool ok, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  fputs(ok ? "ok " : "no ", stdout);
  vprintf(format, ap);
  va_end(ap);
  putchar('\n');
  fflush(stdout);
  return ok;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nap(long milliseconds) {
  struct timespec t = {0, milliseconds * 1000000L};
  nanosleep(&t, NULL);
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in a;
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((unsigned short)port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

/*
** A free port, held until this process ends: bound, never listened at, so that the system gives it to nobody who
** asks for any, nor to a connection's own end, while the server, which says SO_REUSEADDR, may listen there. Free by
** UDP, too, as it is now.
*/
static int hold_port(void) {
  struct sockaddr_in a = loopback(0);
  socklen_t size = sizeof a;
  int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool fine = fd >= 0 && udp >= 0 && bind(fd, (struct sockaddr *)&a, size) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &size) == 0;
  bool both = fine && bind(udp, (struct sockaddr *)&a, size) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0;
  if (udp >= 0) close(udp);
  if (both) return ntohs(a.sin_port);
  if (fd >= 0) close(fd);
  return fine ? 0 : -1;
}

static bool do_ports(int n) {
  int i, port;
  char line[MAX_PORTS * 6 + 1] = "";
  if (n < 1 || n > MAX_PORTS) return answer(false, "between 1 and %d ports", MAX_PORTS);
  for (i = 0; i < n; i++) {
    while ((port = hold_port()) == 0) continue;
    if (port < 0) return answer(false, "bind: %m");
    sprintf(line + strlen(line), "%s%d", i ? " " : "", port);
  }
  return answer(true, "%s", line);
}

static bool drop_rights(void) {
  if (geteuid() != 0) return true;
  return setgroups(0, NULL) == 0 && setgid(gid) == 0 && setuid(uid) == 0;
}

static bool do_reach(const char *path) {
  int status = 1;
  pid_t child = fork();
  if (child == 0) _exit(drop_rights() && access(path, R_OK | X_OK) == 0 ? 0 : 1);
  waitpid(child, &status, 0);
  return answer(status == 0, "%s", path);
}

static int own_one(const char *path, const struct stat *st, int kind, struct FTW *walk) {
  (void)st, (void)kind, (void)walk;
  return lchown(path, uid, gid) == 0 || errno == ENOENT ? 0 : -1;
}

static bool own(void) {
  return geteuid() != 0 || nftw(folder, own_one, 16, FTW_PHYS) == 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk) {
  (void)st, (void)kind, (void)walk;
  remove(path); /* what a dying server still writes is met by the next round */
  return 0;
}

/*
** Something listens; and, where a server speaks first, it has greeted. Dovecot's login process greets with
** "Waiting for authentication process" until that one is up, which no spec should meet.
*/
static bool answers(int port, bool greets) {
  struct sockaddr_in a = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool yes = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
  if (yes && greets) {
    struct pollfd p = {fd, POLLIN, 0};
    char line[128] = "";
    yes = poll(&p, 1, 5000) > 0 && read(fd, line, sizeof line - 1) > 0;
    if (strstr(line, "Waiting for") != NULL || strncmp(line, "* BYE", 5) == 0) yes = false;
  }
  if (fd >= 0) close(fd);
  return yes;
}

/* Signals every child of this process: a server's own children land here when their parent ends. */
static int signal_children(int number) {
  char path[64];
  long child;
  int n = 0;
  FILE *f;
  sprintf(path, "/proc/self/task/%d/children", (int)getpid());
  if ((f = fopen(path, "r")) == NULL) return 0;
  while (fscanf(f, "%ld", &child) == 1) {
    kill((pid_t)child, number);
    n++;
  }
  fclose(f);
  return n;
}

/* Collects who has ended; false once there is no child at all. */
static bool reap(void) {
  pid_t child;
  while ((child = waitpid(-1, NULL, WNOHANG)) > 0) {
    if (child == server) server = 0;
  }
  return child == 0 || errno != ECHILD;
}

/*
** Until no child is left: the server alone first, so that it can take leave of its clients; then its group, for a
** master that waits for idle processes; then whoever remains, by force.
*/
static void stop_all(void) {
  double begin = now(), next = begin + GRACE;
  pid_t group = server;
  if (server > 0) kill(server, SIGTERM);
  while (reap()) {
    int number = now() - begin > STOP_SECONDS ? SIGKILL : SIGTERM;
    if (group > 0 && now() > next) {
      kill(-group, number);
      next = now() + GRACE;
    }
    if (server == 0) signal_children(number);
    nap(3);
  }
  server = 0;
}

static void become_server(void) {
  char log[sizeof folder + 8];
  int null = open("/dev/null", O_RDONLY), out;
  sprintf(log, "%s/output", folder);
  setpgid(0, 0);
  if (!drop_rights()) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (null < 0 || out < 0 || chdir(folder) != 0) _exit(126);
  dup2(null, 0);
  dup2(out, 1);
  dup2(out, 2);
  signal(SIGPIPE, SIG_DFL);
  execv(program[0], program);
  fprintf(stderr, "%s: %m\n", program[0]);
  _exit(127);
}

static bool up(const struct port *ports) {
  double begin = now();
  for (; ports->number; ports++) {
    while (!answers(ports->number, ports->greets)) {
      reap();
      if (server == 0) return answer(false, "it ended while it started");
      if (told_to_end || now() - begin > START_SECONDS) {
        stop_all();
        return answer(false, "port %d did not open", ports->number);
      }
      nap(2);
    }
  }
  return answer(true, "%.0f ms, process %d", (now() - begin) * 1e3, (int)server);
}

static bool do_start(char *list) {
  struct port ports[MAX_PORTS + 1] = {{0, false}};
  char *word;
  int n = 0;
  if (server > 0) return answer(false, "it runs already");
  for (word = strtok(list, " "); word && n < MAX_PORTS; word = strtok(NULL, " ")) {
    ports[n].number = atoi(word);
    ports[n].greets = strchr(word, '!') != NULL;
    if (answers(ports[n++].number, false)) return answer(false, "port %s is taken", word);
  }
  if (!own()) return answer(false, "chown: %m");
  server = fork();
  if (server == 0) become_server();
  return server > 0 ? up(ports) : answer(false, "fork: %m");
}

static bool obey(char *line) {
  char *rest = strchr(line, ' ');
  rest = rest ? (*rest = '\0', rest + 1) : line + strlen(line);
  reap();
  if (strcmp(line, "ports") == 0) return do_ports(atoi(rest));
  if (strcmp(line, "reach") == 0) return do_reach(rest);
  if (strcmp(line, "start") == 0) return do_start(rest);
  if (strcmp(line, "own") == 0) return answer(own(), "own");
  if (strcmp(line, "stop") == 0) return stop_all(), answer(true, "stopped");
  if (strcmp(line, "signal") == 0) return answer(server > 0 && !kill(server, atoi(rest)), "signal");
  return answer(false, "unknown order: %s", line);
}

/* Whole lines out of the FIFO; ends with its last writer, with a signal, or with the parent. */
static void serve(int fifo) {
  char room[4096], *end;
  size_t have = 0;
  while (!told_to_end) {
    struct pollfd p = {fifo, POLLIN, 0};
    ssize_t got;
    if (poll(&p, 1, 500) <= 0) {
      reap();
      continue;
    }
    got = read(fifo, room + have, sizeof room - 1 - have);
    if (got <= 0) return;
    room[have += (size_t)got] = '\0';
    while ((end = strchr(room, '\n')) != NULL) {
      *end = '\0';
      obey(room);
      have -= (size_t)(end + 1 - room);
      memmove(room, end + 1, have + 1);
    }
  }
}

/* "@" is the folder, which the caller cannot know before we made it. */
static char *in_folder(const char *text) {
  char *out = calloc(1, strlen(text) * sizeof folder + 1), *p = out;
  if (out == NULL) exit(1);
  for (; *text; text++) {
    if (*text == '@') {
      p += sprintf(p, "%s", folder);
    } else {
      *p++ = *text;
    }
  }
  return out;
}

static void expand(char **argv) {
  static const char *const names[] = {
      "LM_REROOT",   "LM_OVERLAY",       "LM_SYSLOG", "LD_LIBRARY_PATH",
      "KRB5_CONFIG", "KRB5_KDC_PROFILE", NULL};
  int i;
  for (i = 1; argv[i]; i++) argv[i] = in_folder(argv[i]);
  program = argv + 1;
  for (i = 0; names[i]; i++) {
    const char *value = getenv(names[i]);
    if (value) setenv(names[i], in_folder(value), 1);
  }
  /* not for the keeper itself: the loader read its own variables before main */
  if (getenv("KEEPER_PRELOAD")) setenv("LD_PRELOAD", in_folder(getenv("KEEPER_PRELOAD")), 1);
}

static const struct passwd *choose_user(void) {
  const char *given = getenv("KEEPER_USER");
  const struct passwd *user = geteuid() != 0 ? getpwuid(geteuid())
                              : given        ? getpwuid((uid_t)atol(given))
                                             : getpwnam("nobody");
  if (user == NULL) return NULL;
  uid = user->pw_uid;
  gid = geteuid() != 0 ? getegid() : user->pw_gid;
  return user;
}

static void introduce(const struct passwd *user) {
  struct group *group = getgrgid(gid);
  answer(true, "%s %d %s %d %s", user->pw_name, (int)uid, group ? group->gr_name : "-", (int)gid,
         folder);
}

int main(int argc, char **argv) {
  char path[sizeof folder + 8];
  struct sigaction action;
  const struct passwd *user = choose_user();
  int fd;
  (void)argc;
  for (fd = 3; fd < 1024; fd++) close(fd); /* pipes of other keepers must not live on in this one */
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  umask(022);
  if (user == NULL) return answer(false, "the user of this process has no name"), 1;
  if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0) return answer(false, "mkdtemp: %m"), 1;
  expand(argv);
  sprintf(path, "%s/orders", folder);
  if (mkfifo(path, 0600) != 0 || (fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) < 0) return 1;
  introduce(user);
  serve(fd);
  stop_all();
  for (fd = 0; fd < 50 && nftw(folder, remove_one, 16, FTW_PHYS | FTW_DEPTH) == 0; fd++) nap(2);
  return 0;
}
