/*
** states.c: a host with Lua states of its own: several at once in threads, one after the other, forked.
**
**   states THREADS ROUNDS SCRIPT [WORD...]
**
** Each thread runs the script ROUNDS times, in a new state each time, and closes the state with
** whatever the script has left open in it. `arg` holds the words; `thread` and `round` say which run
** it is. With one thread there are fork() -> process or 0, wait(process) -> exit status (or minus the
** signal), leave(status), which ends the process without closing anything. The last line of a run
** that went well is `ok N`, N being how many states were closed.
*/
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

enum { MAX_THREADS = 64 };

struct job {
  pthread_t thread;
  int number;
  int rounds;
  int words;
  char **word; /* the script, and what follows it */
  int closed;  /* states that ran to their end */
};

static int host_fork(lua_State *L) {
  pid_t child;
  fflush(NULL);
  child = fork();
  lua_pushinteger(L, (lua_Integer)child);
  return 1;
}

static int host_wait(lua_State *L) {
  int status = 0;
  pid_t child = (pid_t)luaL_checkinteger(L, 1);
  if (waitpid(child, &status, 0) != child) return luaL_error(L, "no such child");
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  return 1;
}

static int host_leave(lua_State *L) {
  fflush(NULL);
  _exit((int)luaL_checkinteger(L, 1));
}

static void set_number(lua_State *L, const char *name, int n) {
  lua_pushinteger(L, n);
  lua_setglobal(L, name);
}

static void open_state(lua_State *L, const struct job *j, int round) {
  int i;
  luaL_openlibs(L);
  lua_newtable(L);
  for (i = 0; i < j->words; i++) {
    lua_pushstring(L, j->word[i]);
    lua_rawseti(L, -2, i);
  }
  lua_setglobal(L, "arg");
  set_number(L, "thread", j->number);
  set_number(L, "round", round);
  lua_register(L, "fork", host_fork);
  lua_register(L, "wait", host_wait);
  lua_register(L, "leave", host_leave);
}

static int run_state(const struct job *j, int round) {
  lua_State *L = luaL_newstate();
  int ok;
  if (L == NULL) return 0;
  open_state(L, j, round);
  ok = luaL_loadfile(L, j->word[0]) == 0 && lua_pcall(L, 0, 0, 0) == 0;
  if (!ok) {
    const char *why = lua_tostring(L, -1);
    fprintf(stderr, "thread %d, round %d: %s\n", j->number, round, why ? why : "no words");
  }
  lua_close(L);
  return ok;
}

static void *run_thread(void *argument) {
  struct job *j = argument;
  int i;
  for (i = 1; i <= j->rounds; i++) j->closed += run_state(j, i);
  return NULL;
}

static int run_all(struct job *jobs, int threads) {
  int i, closed = 0;
  for (i = 1; i < threads; i++) {
    if (pthread_create(&jobs[i].thread, NULL, run_thread, &jobs[i]) != 0) return -1;
  }
  run_thread(&jobs[0]);
  for (i = 1; i < threads; i++) pthread_join(jobs[i].thread, NULL);
  for (i = 0; i < threads; i++) closed += jobs[i].closed;
  return closed;
}

int main(int argc, char **argv) {
  static struct job jobs[MAX_THREADS];
  int threads = argc > 3 ? atoi(argv[1]) : 0, rounds = argc > 3 ? atoi(argv[2]) : 0, i, closed;
  if (threads < 1 || threads > MAX_THREADS || rounds < 1) {
    fprintf(stderr, "usage: states THREADS ROUNDS SCRIPT [WORD...]\n");
    return 2;
  }
  for (i = 0; i < threads; i++) {
    jobs[i].number = i + 1;
    jobs[i].rounds = rounds;
    jobs[i].words = argc - 3;
    jobs[i].word = argv + 3;
  }
  closed = run_all(jobs, threads);
  if (closed != threads * rounds) return 1;
  printf("ok %d\n", closed);
  return 0;
}
