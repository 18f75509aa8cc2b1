/*
** bind_alloc_test.c: the n-th allocation fails, Lua's or the core's, while a function of the binding runs.
**
** Scenes, short Lua programs in spec/c/scenes, call between them every function that the binding has. Each
** is played in a new state once for each allocation: that one is refused, and again when Lua has collected
** and asks anew. The call must then raise or answer nil and words of memory; garbage is collected, the call
** is made again, and the scene goes on with what it had in its hands. It must hear from every call what the
** untouched scene heard, or a plain failure, which ends it: nothing may be lost, or be told twice. Whatever
** became of it, the state is closed. What leaks, or is used behind its end, the sanitizers tell. The
** allocations of OpenSSL are tls_alloc_test.c's.
**
** Each scene is also played while Lua collects wherever it may and finalizers (finalizers.lua) call the binding
** in the middle of its calls. Where they only ask it must hear what it heard without; where they feed, close,
** or change what it works with it may hear anything, but nothing may break.
**
** Invariant: between two runs nothing is left of Lua's memory, and no descriptor more is open.
*/
#define _GNU_SOURCE /* mkdtemp */
#include <fcntl.h>
#include <lualib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bind/compat.h"
#include "fail.h"
#include "tls_fixture.h"

int luaopen_mail_core(lua_State *L);

enum victim { NOBODY, OF_LUA, OF_CORE };

static enum victim victim; /* whose allocation fails in this run */

/* Counts only what is not so: one that failed is one case, however much is looked at. */
static bool must(bool ok, const char *what) {
  return ok || EXPECT_AS(false, what);
}

/* --- Lua's memory ------------------------------------------------------------------------------------ */

#define COLLECTS_AND_RETRIES (LUA_VERSION_NUM >= 502)

struct heap {
  long blocks; /* that Lua has */
  long left;   /* as in fail.h */
  long refused;
  bool within;         /* a function of the binding runs: only then one fails */
  const void *retried; /* what will be asked for once more */
  size_t retried_n;
  bool retry;
};

static struct heap heap;

/* The one, or Lua's second attempt at it. */
static bool lua_fails(const void *p, size_t n) {
  bool again = heap.retry && heap.retried == p && heap.retried_n == n;
  bool now = heap.left >= 0 && heap.left-- == 0;
  heap.retry = false;
  if (!now) return again;
  heap.refused++;
  heap.retry = COLLECTS_AND_RETRIES;
  heap.retried = p;
  heap.retried_n = n;
  return true;
}

static void *lua_memory(void *ud, void *p, size_t old, size_t n) {
  (void)ud;
  if (n == 0) {
    if (p) heap.blocks--;
    free(p);
    return NULL;
  }
  if (heap.within && (p == NULL || n > old) && lua_fails(p, n)) return NULL;
  heap.blocks += p == NULL;
  return __real_realloc(p, n);
}

/* --- functions of the binding -------------------------------------------------------------------------- */

enum { FUNCTIONS = 1024, STEPS = 4096, WORDS = 160 };

#define UNTRIED "untried"

/* One function, whatever names it has. */
struct function {
  lua_CFunction f;
  char where[24]; /* its class */
  char name[48];
  bool called;
  bool varies;    /* what it answers differs from run to run */
  bool uncounted; /* how often it is called, too */
  bool lax;       /* it may do less where memory is short, which ends a scene */
};

static struct function functions[FUNCTIONS]; /* found by hashing; f NULL: nobody lives there */

static struct function *find_function(lua_CFunction f) {
  size_t i = (size_t)((uintptr_t)f >> 4) % FUNCTIONS;
  while (functions[i].f && functions[i].f != f) i = (i + 1) % FUNCTIONS;
  functions[i].f = f;
  return &functions[i];
}

/* --- what was heard ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t h, const void *p, size_t n) {
  const unsigned char *c = p;
  size_t i;
  for (i = 0; i < n; i++) h = (h ^ c[i]) * UINT64_C(1099511628211);
  return h;
}

/* The same for values that are alike; of a table the order does not matter, of an object only its type. */
static uint64_t fingerprint(lua_State *L, int i) {
  uint64_t h = UINT64_C(14695981039346656037) + (uint64_t)lua_type(L, i), sum = 0;
  struct lm_str s;
  lua_Number n;
  int flag;
  switch (lua_type(L, i)) {
  case LUA_TBOOLEAN: flag = lua_toboolean(L, i); return mix(h, &flag, sizeof flag);
  case LUA_TNUMBER: n = lua_tonumber(L, i); return mix(h, &n, sizeof n);
  case LUA_TSTRING: s.p = lua_tolstring(L, i, &s.n); return mix(h, s.p, s.n);
  case LUA_TTABLE: break;
  default: return h;
  }
  i = lua_absindex(L, i);
  luaL_checkstack(L, 4, "a deep table");
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    uint64_t pair[2] = {fingerprint(L, -2), fingerprint(L, -1)};
    sum += mix(h, pair, sizeof pair);
  }
  return mix(h, &sum, sizeof sum);
}

/* One call of the untouched scene, and what it was answered. */
struct step {
  const struct function *f;
  uint64_t heard;
  bool refused; /* it was an error without any want of memory */
  char words[WORDS];
};

static struct step trail[STEPS];
static int steps;      /* of this run so far */
static int known;      /* of the untouched run; 0 while that is on */
static bool over;      /* the scene has ended with a plain failure, or wrongly */
static bool hurt;      /* a call has failed in this run */
static bool disturbed; /* finalizers call the binding in this run */
static bool calm;      /* ... but not yet: what is heard is noted */
static bool meddling;  /* ... and change what the scene uses; else they only ask */
static int seed;       /* what they do by chance is the same from the same seed */

/* The values from `from` on, in so many words. */
static void spell(lua_State *L, int status, int from, char *out) {
  int i, used = snprintf(out, WORDS, "%s", status ? "raised" : "answered");
  for (i = from; i <= lua_gettop(L) && used < WORDS; i++) {
    const char *s = lua_type(L, i) == LUA_TSTRING ? lua_tostring(L, i) : NULL;
    int flag = lua_toboolean(L, i);
    if (s) {
      used += snprintf(out + used, (size_t)(WORDS - used), " \"%s\"", s);
    } else if (lua_type(L, i) == LUA_TNUMBER) {
      used += snprintf(out + used, (size_t)(WORDS - used), " %.14g", lua_tonumber(L, i));
    } else {
      used += snprintf(out + used, (size_t)(WORDS - used), " %s",
                       lua_isboolean(L, i) ? (flag ? "true" : "false") : luaL_typename(L, i));
    }
  }
}

static bool has_words(lua_State *L, int from, const char *what) {
  int i;
  for (i = from; i <= lua_gettop(L); i++) {
    if (lua_type(L, i) == LUA_TSTRING && strstr(lua_tostring(L, i), what)) return true;
  }
  return false;
}

/* True where the session at 1 says that it has failed. */
static bool has_failed(lua_State *L) {
  bool failed;
  if (lua_type(L, 1) != LUA_TUSERDATA) return false;
  lua_getfield(L, 1, UNTRIED);
  if (lua_isnil(L, -1)) return lua_pop(L, 1), false;
  lua_pushvalue(L, 1);
  failed = lua_pcall(L, 1, 1, 0) != 0 || !lua_isnil(L, -1);
  lua_pop(L, 1);
  return failed;
}

/* An answer that nobody takes for good: a raise, nil or false with a reason, a session's failure. */
static bool is_plain(lua_State *L, int status, int from) {
  bool none = lua_gettop(L) < from || !lua_toboolean(L, from);
  if (status || (none && lua_type(L, from + 1) == LUA_TSTRING)) return true;
  if (lua_type(L, from) == LUA_TSTRING && strcmp(lua_tostring(L, from), "fail") == 0) return true;
  return has_failed(L);
}

/* Of a function that is not counted: whether the scene goes on. */
static bool may_go_on(lua_State *L, const struct function *f, int status, int from) {
  (void)f;
  over = hurt && is_plain(L, status, from);
  return !over;
}

/* Notes what the call was answered, or compares it with what it should be; false: the scene is over. */
static bool agrees(lua_State *L, const struct function *f, int status, int from) {
  struct step now = {f, (uint64_t)status, false, ""};
  const struct step *was = &trail[steps];
  int i;
  if (steps == STEPS) abort();
  now.refused = is_plain(L, status, from);
  if (f->varies) {
    now.heard = now.refused;
  } else {
    for (i = from; i <= lua_gettop(L); i++) now.heard = now.heard * 31 + fingerprint(L, i);
  }
  if (known == 0) {
    spell(L, status, from, now.words);
    trail[steps++] = now;
    return true;
  }
  if (meddling) {
    over = ++steps >= STEPS / 2; /* it waits for what was taken from it */
    return !over;
  }
  if (steps < known && was->f == f && was->heard == now.heard) return steps++, true;
  over = true;
  if (hurt && (f->lax || now.refused)) return false;
  spell(L, status, from, now.words);
  must(false, f->name);
  fprintf(stderr, "  step %d, %s\n  and should be %s, %s\n", steps, now.words,
          steps < known ? was->f->name : "over", steps < known ? was->words : "");
  return false;
}

/* --- calls ----------------------------------------------------------------------------------------------- */

static long refusals(void) {
  return refused + heap.refused;
}

/* Finalizers find the first two as globals. */
static void show_arguments(lua_State *L) {
  lua_settop(L, lua_gettop(L) + 2);
  lua_pushvalue(L, 1);
  lua_setglobal(L, "under_way");
  lua_pushvalue(L, 2);
  lua_setglobal(L, "beside");
  lua_settop(L, -3);
}

/* Calls the function in upvalue 1 with the `n` arguments at the bottom of the stack, which stay there; its
** results lie on top of them. */
static int attempt(lua_State *L, int n) {
  int i, status;
  lua_pushvalue(L, lua_upvalueindex(1));
  for (i = 1; i <= n; i++) lua_pushvalue(L, i);
  if (disturbed) show_arguments(L);
  heap.within = true;
  status = lua_pcall(L, n, LUA_MULTRET, 0);
  heap.within = heap.retry = false; /* 5.2 does not ask again while the collector stands still */
  return status;
}

/* Whether a call in which an allocation failed went well all the same; else it says so, in the words of Lua
** (which calls a stack that cannot grow an overflow), of the core or of OpenSSL, unless it fails in any case. */
static bool went_well(lua_State *L, const struct function *f, int status, int from) {
  bool none = lua_gettop(L) < from || !lua_toboolean(L, from), good;
  if (status == 0 && none && f->lax) return false;
  if (status == 0 && !(none && lua_type(L, from + 1) == LUA_TSTRING)) return true;
  good = has_words(L, from, "memory") || has_words(L, from, "malloc failure") ||
         has_words(L, from, "stack overflow") || (steps < known && trail[steps].refused);
  if (!must(good, f->name)) {
    char words[WORDS];
    spell(L, status, from, words);
    fprintf(stderr, "  %s\n", words);
  }
  return false;
}

/* A function of the binding as the scenes see it: upvalue 1 is the function, 2 its entry. */
static int tried(lua_State *L) {
  struct function *f = lua_touserdata(L, lua_upvalueindex(2));
  int n = lua_gettop(L), status;
  long before = refusals();
  if (over) return luaL_error(L, "the scene is over");
  luaL_checkstack(L, 2 * n + 40, "arguments");
  f->called = true;
  status = attempt(L, n);
  if (refusals() != before) {
    hurt = true;
    lua_gc(L, LUA_GCCOLLECT, 0);
    lua_gc(L, LUA_GCSTOP, 0); /* some Luas go on after it */
    if (!went_well(L, f, status, n + 1)) {
      lua_settop(L, n);
      status = attempt(L, n);
    }
  }
  if (!(f->uncounted ? may_go_on : agrees)(L, f, status, n + 1)) {
    return luaL_error(L, "the scene is over");
  }
  return status ? lua_error(L) : lua_gettop(L) - n;
}

/* Makes the function on the top of the stack one that is tried. */
static void try_function(lua_State *L, const char *where, const char *name) {
  struct function *f = find_function(lua_tocfunction(L, -1));
  if (f->name[0] && strcmp(f->where, where) != 0)
    where = "mail.session"; /* several classes have it */
  snprintf(f->where, sizeof f->where, "%s", where);
  snprintf(f->name, sizeof f->name, "%s.%s", where, name);
  lua_pushlightuserdata(L, f);
  lua_pushcclosure(L, tried, 2);
}

/* Sessions tell the test itself how they are under another name. */
static void keep_failure(lua_State *L) {
  lua_getfield(L, -1, "failure");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
  } else {
    lua_setfield(L, -2, UNTRIED);
  }
}

/* Tries all functions of the table on the top of the stack, and those of the classes in it. */
static void try_all(lua_State *L, const char *where) {
  int t = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, t); lua_settop(L, t + 1)) {
    const char *name = lua_tostring(L, t + 1);
    if (lua_istable(L, -1)) {
      lua_getfield(L, -1, "__name");
      lua_getfield(L, -2, "__index");
      keep_failure(L);
      try_all(L, lua_tostring(L, -2));
    } else if (strcmp(name, UNTRIED) != 0) {
      try_function(L, where, name);
      lua_setfield(L, t, name);
    }
  }
}

/* --- what scenes are given ------------------------------------------------------------------------------ */

static struct identity root, mail;
static char *rsa_pem;
static time_t now; /* when the certificates are valid */
static char folder[] = "/tmp/lm-bind-XXXXXX";

/* Sets the flag at `offset` of the functions of the given names. */
static int set_flags(lua_State *L, size_t offset) {
  int i, k;
  for (i = 1; i <= lua_gettop(L); i++) {
    const char *name = luaL_checkstring(L, i);
    for (k = 0; k < FUNCTIONS; k++) {
      const char *dot = strrchr(functions[k].name, '.');
      if (dot && strcmp(dot + 1, name) == 0) *(bool *)((char *)&functions[k] + offset) = true;
    }
  }
  return 0;
}

/* varies(name...), uncounted(name...), may_do_less(name...): of all functions of these names */
static int host_varies(lua_State *L) {
  return set_flags(L, offsetof(struct function, varies));
}

static int host_uncounted(lua_State *L) {
  return set_flags(L, offsetof(struct function, uncounted));
}

static int host_may_do_less(lua_State *L) {
  return set_flags(L, offsetof(struct function, lax));
}

/* pair() -> two descriptors that are connected */
static int host_pair(lua_State *L) {
  int fd[2], i;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0) return luaL_error(L, "no pair of sockets");
  for (i = 0; i < 2; i++) {
    fcntl(fd[i], F_SETFL, O_NONBLOCK);
    lua_pushinteger(L, fd[i]);
  }
  return 2;
}

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* {ca=, cert=, key=, rsa=, folder=, time=, varies=, pair=, open=} */
static void push_host(lua_State *L) {
  static const luaL_Reg host[] = {{"varies", host_varies},
                                  {"uncounted", host_uncounted},
                                  {"may_do_less", host_may_do_less},
                                  {"pair", host_pair},
                                  {NULL, NULL}};
  lua_newtable(L);
  luaL_setfuncs(L, host, 0);
  set_text(L, "ca", root.cert_pem);
  set_text(L, "cert", mail.cert_pem);
  set_text(L, "key", mail.key_pem);
  set_text(L, "rsa", rsa_pem);
  set_text(L, "folder", folder);
  lua_pushnumber(L, (lua_Number)now);
  lua_setfield(L, -2, "time");
  lua_pushcfunction(L, luaopen_mail_core);
  try_function(L, "core", "open");
  lua_setfield(L, -2, "open");
}

/* --- a scene -------------------------------------------------------------------------------------------- */

struct scene {
  const char *name;
  struct lm_buf text;
};

/* The functions of finalizers.lua, which sees the core on the top of the stack before it is tried; kept in
** the registry. */
static void load_finalizers(lua_State *L) {
  if (luaL_loadfile(L, "spec/c/finalizers.lua") != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(1);
  }
  lua_pushvalue(L, -2);
  lua_call(L, 1, 2);
  lua_setfield(L, LUA_REGISTRYINDEX, "disarm");
  lua_setfield(L, LUA_REGISTRYINDEX, "arm");
}

/* From now on Lua collects; with finalizers, as a whole wherever it may. */
static void arm(lua_State *L) {
  lua_gc(L, LUA_GCRESTART, 0);
  if (calm) return;
  lua_getfield(L, LUA_REGISTRYINDEX, "arm");
  lua_pushinteger(L, 7919 * seed);
  lua_pushboolean(L, meddling);
  lua_call(L, 2, 0);
#if LUA_VERSION_NUM >= 504
  lua_gc(L, LUA_GCINC, 1, 1000, 100);
#else
  lua_gc(L, LUA_GCSETPAUSE, 0);
  lua_gc(L, LUA_GCSETSTEPMUL, LUA_VERSION_NUM >= 502 ? 1000000 : 0); /* 0: without end */
#endif
  lua_gc(L, LUA_GCRESTART, 0); /* not when the default says */
}

/* How often finalizers ran. */
static long disarm(lua_State *L) {
  long ran;
  lua_gc(L, LUA_GCSTOP, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, "disarm");
  lua_call(L, 0, 2);
  ran = (long)lua_tonumber(L, -2);
  if (!must(lua_isnil(L, -1), "what finalizers hear"))
    fprintf(stderr, "  %s\n", lua_tostring(L, -1));
  lua_pop(L, 2);
  return ran;
}

static lua_State *open_state(const struct scene *s) {
  lua_State *L = lua_newstate(lua_memory, NULL);
  if (L == NULL) exit(2);
  luaL_openlibs(L);
  if (luaL_loadbuffer(L, s->text.p, lm_buf_len(&s->text), s->name) != 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(1);
  }
  lua_pushcfunction(L, luaopen_mail_core);
  lua_call(L, 0, 1);
  if (disturbed) load_finalizers(L);
  try_all(L, "core");
  push_host(L);
  lua_gc(L, LUA_GCSTOP, 0);
  return L;
}

static long descriptors(void) {
  long n = 0;
  int fd;
  for (fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

static long finalizers; /* how many ran in the midst of things */

/* Plays it while the n-th allocation fails, in a new state; true where it came to its end. */
static bool play(const struct scene *s, long n) {
  lua_State *L;
  bool whole;
  memset(&heap, 0, sizeof heap);
  heap.left = -1;
  L = open_state(s);
  steps = 0;
  over = hurt = false;
  fail_at(victim == OF_CORE ? n : -1);
  heap.left = victim == OF_LUA ? n : -1;
  if (disturbed) arm(L);
  whole = lua_pcall(L, 2, 0, 0) == 0;
  if (disturbed) finalizers += disarm(L);
  fail_never();
  heap.left = -1;
  if (!must(whole || over || meddling, s->name)) fprintf(stderr, "  %s\n", lua_tostring(L, -1));
  must(!whole || known == 0 || steps == known || meddling, "the whole scene");
  lua_close(L);
  must(heap.blocks == 0, "Lua's memory is given back");
  return whole;
}

/* Every allocation of the scene, one after the other; how many there are. */
static long suffer(const struct scene *s, enum victim v) {
  static const char *const whose[] = {"nobody", "Lua", "the core"};
  char row[64];
  long n, fds = descriptors(), bad = check_bad;
  victim = v;
  check_row = row;
  for (n = 0;; n++) {
    bool whole;
    snprintf(row, sizeof row, "%s, allocation %ld of %s", s->name, n, whose[v]);
    whole = play(s, n);
    must(descriptors() == fds, "descriptors are closed");
    if (refusals() == 0) {
      must(whole, "it ends");
      break;
    }
    if (check_bad == bad) EXPECT_AS(true, s->name);
    bad = check_bad;
  }
  check_row = NULL;
  return n;
}

static void read_scene(struct scene *s) {
  char path[64], *room;
  FILE *f;
  size_t got;
  snprintf(path, sizeof path, "spec/c/scenes/%s.lua", s->name);
  CHECK((f = fopen(path, "r")) != NULL);
  do {
    CHECK((room = lm_buf_room(&s->text, 65536)) != NULL);
    lm_buf_added(&s->text, got = fread(room, 1, 65536, f));
  } while (got > 0);
  fclose(f);
}

/* Untouched, twice: what it hears is known then, and the same each time. */
static void play_untouched(const struct scene *s) {
  int k;
  for (k = 0; k < FUNCTIONS; k++) {
    functions[k].varies = functions[k].uncounted = functions[k].lax = false;
  }
  victim = NOBODY;
  known = 0;
  CHECK(play(s, -1));
  known = steps;
  CHECK(play(s, -1));
}

/* Plays it with finalizers, from one seed after another. */
static void disturb(const struct scene *s, int times) {
  long fds = descriptors();
  for (seed = 1; seed <= times; seed++) {
    play(s, -1);
    must(descriptors() == fds, "descriptors are closed");
  }
}

/* What finalizers do not change is heard while Lua collects as usual. */
static void play_disturbed(const struct scene *s) {
  enum { ASKING = 6, MEDDLING = 30 };
  disturbed = calm = true;
  known = 0;
  CHECK(play(s, -1));
  known = steps;
  calm = false;
  check_row = s->name;
  disturb(s, ASKING);
  meddling = true;
  disturb(s, MEDDLING);
  check_row = NULL;
  disturbed = meddling = false;
}

static void all_were_called(void) {
  int i;
  for (i = 0; i < FUNCTIONS; i++) {
    if (functions[i].f) EXPECT_ROW(functions[i].called, "called by a scene", functions[i].name);
  }
}

static void make_keys(void) {
  static const struct wish root_wish = {"Test Root", NULL, NULL, -1, 30, true};
  static const struct wish mail_wish = {
      "mail", "DNS:mail.example.com,email:a@example.com", NULL, -1, 30, false};
  EVP_PKEY *rsa = EVP_RSA_gen(2048);
  BIO *bio = BIO_new(BIO_s_mem());
  now = time(NULL);
  root = identity(&root_wish, NULL);
  mail = identity(&mail_wish, &root);
  PEM_write_bio_PrivateKey(bio, rsa, NULL, NULL, 0, NULL, NULL);
  rsa_pem = text_of(bio);
  EVP_PKEY_free(rsa);
}

/* With the name of a scene as its argument: that one alone. */
int main(int argc, char **argv) {
  static const char *const names[] = {"open", "smtp", "pop3", "imap", "message", "text", "sets",
                                      "sasl", "sign", "cms",  "tls",  "os",      "file"};
  long lua = 0, core = 0;
  size_t i;
  make_keys();
  CHECK(mkdtemp(folder) != NULL);
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    struct scene s = {names[i], {NULL, 0, 0, 0}};
    if (argc > 1 && strcmp(argv[1], s.name) != 0) continue;
    read_scene(&s);
    play_disturbed(&s);
    play_untouched(&s);
    lua += suffer(&s, OF_LUA);
    core += suffer(&s, OF_CORE);
    lm_buf_free(&s.text);
  }
  if (argc < 2) all_were_called();
  CHECK(rmdir(folder) == 0);
  free(rsa_pem);
  forget(&root);
  forget(&mail);
  EXPECT(finalizers > 0);
  printf("%ld allocations of Lua failed, %ld of the core; %ld finalizers\n", lua, core, finalizers);
  return check_end();
}
