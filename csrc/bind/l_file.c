/*
** l_file.c: files and folders for mail stores in Lua (os/file.h).
**
** What fails returns nil, a readable line, and a word for what a caller may act on: "exists",
** "missing", "denied", "full", "device" (another file system), or nothing.
*/
#include <errno.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/open.h"
#include "os/file.h"
#include "os/home.h"

struct file {
  int fd; /* -1 once closed */
};

enum { READ_MOST = 1 << 20 };

static const char *word_of(int code) {
  switch (code) {
  case EEXIST:
  case ENOTEMPTY: return "exists";
  case ENOENT:
  case ENOTDIR: return "missing";
  case EACCES:
  case EPERM:
  case EROFS: return "denied";
  case ENOSPC:
  case EDQUOT:
  case EFBIG: return "full";
  case EXDEV:
  case EMLINK: return "device";
  default: return NULL;
  }
}

static int failed(lua_State *L, int code) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(code));
  lua_pushstring(L, word_of(code));
  return 3;
}

static int done(lua_State *L, bool ok) {
  if (!ok) return failed(L, errno);
  lua_pushboolean(L, 1);
  return 1;
}

static uint64_t checkoffset(lua_State *L, int i) {
  lua_Number n = luaL_checknumber(L, i);
  luaL_argcheck(L, n >= 0 && n <= 9007199254740992.0, i, "an offset expected");
  return (uint64_t)n;
}

static void set_number(lua_State *L, const char *name, lua_Number n) {
  lua_pushnumber(L, n);
  lua_setfield(L, -2, name);
}

static int push_facts(lua_State *L, const struct lm_file_facts *f) {
  lua_createtable(L, 0, 5);
  lua_pushlstring(L, &f->type, 1);
  lua_setfield(L, -2, "type");
  lm_push_u64(L, f->size);
  lua_setfield(L, -2, "size");
  set_number(L, "inode", (lua_Number)f->inode);
  set_number(L, "modified", (lua_Number)f->modified);
  set_number(L, "accessed", (lua_Number)f->accessed);
  return 1;
}

/* --- file ------------------------------------------------------------------------------------ */

/* core.file(path, "read" | "create" | "update" | "folder") -> file | nil, message, word */
static int file_open(lua_State *L) {
  static const char *const modes[] = {"read", "create", "update", "folder", NULL};
  const char *path = lm_checkpath(L, 1);
  enum lm_file_mode mode = (enum lm_file_mode)luaL_checkoption(L, 2, NULL, modes);
  struct file *f = lm_newobject(L, sizeof *f, lua_upvalueindex(1));
  f->fd = -1;
  f->fd = lm_file_open(path, mode);
  return f->fd < 0 ? failed(L, errno) : 1;
}

static struct file *opened(lua_State *L) {
  struct file *f = lm_checkself(L);
  if (f->fd < 0) luaL_error(L, "the file is closed");
  return f;
}

/* read(count, offset) -> bytes, "" at the end | nil, message, word */
static int file_read(lua_State *L) {
  const struct file *f = opened(L);
  lua_Integer n = luaL_checkinteger(L, 2);
  uint64_t offset = checkoffset(L, 3);
  luaL_Buffer b;
  luaL_argcheck(L, n >= 0 && n <= READ_MOST, 2, "0 to 1048576 expected");
  luaL_buffinit(L, &b);
  while (n > 0) {
    char piece[16384];
    size_t most = (size_t)n < sizeof piece ? (size_t)n : sizeof piece;
    long got = lm_file_read(f->fd, piece, most, offset);
    if (got < 0) return failed(L, errno);
    luaL_addlstring(&b, piece, (size_t)got);
    if (got == 0) break;
    n -= (lua_Integer)got;
    offset += (uint64_t)got;
  }
  luaL_pushresult(&b);
  return 1;
}

/* write(bytes, offset) -> true | nil, message, word */
static int file_write(lua_State *L) {
  const struct file *f = opened(L);
  struct lm_str s = lm_checkstr(L, 2);
  return done(L, lm_file_write(f->fd, s.p, s.n, checkoffset(L, 3)));
}

/* sync() -> true | nil, message, word */
static int file_sync(lua_State *L) {
  return done(L, lm_file_sync(opened(L)->fd));
}

/* truncate(size) -> true | nil, message, word */
static int file_truncate(lua_State *L) {
  const struct file *f = opened(L);
  return done(L, lm_file_truncate(f->fd, checkoffset(L, 2)));
}

/* lock() -> true; false where another has it | nil, message, word */
static int file_lock(lua_State *L) {
  enum lm_file_lock got = lm_file_lock(opened(L)->fd);
  if (got == LM_FILE_UNLOCKABLE) return failed(L, errno);
  lua_pushboolean(L, got == LM_FILE_LOCKED);
  return 1;
}

/* facts() -> {type=, size=, inode=, modified=, accessed=} | nil, message, word */
static int file_facts(lua_State *L) {
  struct lm_file_facts facts;
  if (!lm_file_facts_of(opened(L)->fd, &facts)) return failed(L, errno);
  return push_facts(L, &facts);
}

/* close() -> true | nil, message, word. Idempotent; also __gc. */
static int file_close(lua_State *L) {
  struct file *f = lm_checkself(L);
  int fd = f->fd;
  f->fd = -1;
  return done(L, fd < 0 || lm_file_close(fd));
}

/* --- folder ---------------------------------------------------------------------------------- */

struct folder {
  struct lm_folder *d;
  struct lm_folder *parting; /* the same, where it was closed halfway */
  bool halfway;              /* a name is being pushed, or was lost when memory was short for it */
};

/* core.folder(path) -> folder | nil, message, word */
static int folder_open(lua_State *L) {
  const char *path = lm_checkpath(L, 1);
  struct folder *f = lm_newobject(L, sizeof *f, lua_upvalueindex(1));
  return (f->d = lm_folder_open(path)) ? 1 : failed(L, errno);
}

/* next() -> name | nil at the end | nil, message, word */
static int folder_next(lua_State *L) {
  struct folder *f = lm_checkself(L);
  bool bad = false;
  const char *name;
  if (f->halfway)
    return luaL_error(L, "the folder is in use, or a name was lost: memory was short");
  name = f->d ? lm_folder_next(f->d, &bad) : NULL;
  if (name == NULL) return bad ? failed(L, errno) : 0;
  f->halfway = true;
  lua_pushstring(L, name);
  f->halfway = false;
  lm_folder_close(f->parting); /* a finalizer closed it meanwhile */
  f->parting = NULL;
  return 1;
}

/* Whoever pushes a name closes it behind that. */
static int folder_close(lua_State *L) {
  struct folder *f = lm_checkself(L);
  if (f->halfway && f->d) {
    f->parting = f->d;
  } else {
    lm_folder_close(f->d);
  }
  f->d = NULL;
  return 0;
}

static int folder_gc(lua_State *L) {
  struct folder *f = lm_checkself(L);
  lm_folder_close(f->d);
  lm_folder_close(f->parting);
  f->d = f->parting = NULL;
  return 0;
}

/* --- names ----------------------------------------------------------------------------------- */

/* core.file_facts(path) -> as file:facts(); a link is not followed */
static int path_facts(lua_State *L) {
  struct lm_file_facts facts;
  if (!lm_file_facts(lm_checkpath(L, 1), &facts)) return failed(L, errno);
  return push_facts(L, &facts);
}

/* core.file_move(from, to) -> true | nil, message, word: "exists" where `to` is there */
static int path_move(lua_State *L) {
  const char *from = lm_checkpath(L, 1);
  return done(L, lm_file_move(from, lm_checkpath(L, 2)));
}

/* core.file_replace(from, to): as move, but what is there goes */
static int path_replace(lua_State *L) {
  const char *from = lm_checkpath(L, 1);
  return done(L, lm_file_replace(from, lm_checkpath(L, 2)));
}

/* core.file_link(from, to): a second name for a file */
static int path_link(lua_State *L) {
  const char *from = lm_checkpath(L, 1);
  return done(L, lm_file_link(from, lm_checkpath(L, 2)));
}

static int path_remove(lua_State *L) {
  return done(L, lm_file_remove(lm_checkpath(L, 1)));
}

/* core.folder_make(path): for its owner alone, mode 0700 */
static int folder_make(lua_State *L) {
  return done(L, lm_folder_make(lm_checkpath(L, 1)));
}

/* core.folder_remove(path): an empty one */
static int folder_remove(lua_State *L) {
  return done(L, lm_folder_remove(lm_checkpath(L, 1)));
}

/* core.file_time() -> seconds since 1970 to the microsecond, the number of this process */
static int file_time(lua_State *L) {
  lua_pushnumber(L, lm_file_time());
  lua_pushinteger(L, (lua_Integer)lm_home_process());
  return 2;
}

static const luaL_Reg file_methods[] = {
    {"read", file_read}, {"write", file_write}, {"sync", file_sync},   {"truncate", file_truncate},
    {"lock", file_lock}, {"facts", file_facts}, {"close", file_close}, {NULL, NULL}};
static const luaL_Reg file_meta[] = {{"__gc", file_close}, {NULL, NULL}};
static const luaL_Reg folder_methods[] = {
    {"next", folder_next}, {"close", folder_close}, {NULL, NULL}};
static const luaL_Reg folder_meta[] = {{"__gc", folder_gc}, {NULL, NULL}};
static const luaL_Reg file_makers[] = {{"file", file_open}, {NULL, NULL}};
static const luaL_Reg folder_makers[] = {{"folder", folder_open}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"file_facts", path_facts},   {"file_move", path_move},         {"file_replace", path_replace},
    {"file_link", path_link},     {"file_remove", path_remove},     {"file_time", file_time},
    {"folder_make", folder_make}, {"folder_remove", folder_remove}, {NULL, NULL}};

void lm_open_file(lua_State *L) {
  lm_newclass(L, "file_class", "mail.file", file_methods, file_meta);
  lua_getfield(L, -1, "file_class");
  luaL_setfuncs(L, file_makers, 1);
  lm_newclass(L, "folder_class", "mail.folder", folder_methods, folder_meta);
  lua_getfield(L, -1, "folder_class");
  luaL_setfuncs(L, folder_makers, 1);
  luaL_setfuncs(L, functions, 0);
}
