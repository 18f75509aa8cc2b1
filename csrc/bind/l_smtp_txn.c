/*
** l_smtp_txn.c: a transaction out of a Lua table: its envelope, and what the message asks of the
** server.
**
** Addresses become part of a command line here, through mime/addr, and nowhere else. What the message
** needs (8BITMIME, SMTPUTF8, BINARYMIME, SIZE) is settled before anything is sent.
*/
#include <string.h>

#include "base/chars.h"
#include "base/text.h"
#include "bind/bind.h"
#include "bind/l_smtp.h"
#include "mime/addr.h"
#include "smtp/client.h"

/* What a transaction is made of, while it is being made. */
struct draft {
  struct lm_smtpc *session;
  struct lm_smtp_txn *txn;
  struct lm_str mail_params;
  struct lm_str rcpt_params;
  struct lm_str from;
  bool utf8;         /* an address needs SMTPUTF8 */
  bool body_binary;  /* BODY=BINARYMIME */
  const char *lacks; /* the extension without which it cannot go */
  const char *why;
  const char *kind;      /* of the error; "invalid" where it is not set */
  struct lm_str culprit; /* the address that was refused */
};

static bool complain(struct draft *d, const char *kind, const char *why) {
  d->kind = kind;
  d->why = why;
  return false;
}

/* One address of the envelope, canonical: the text itself, or in the transaction's arena. */
static bool read_address(struct draft *d, struct lm_str text, enum lm_addr_null null,
                         struct lm_str *path_out) {
  struct lm_addr addr;
  *path_out = text;
  if (lm_addr_is_plain(text)) return true;
  if (!lm_addr_envelope(&d->txn->arena, text, null, &addr, &d->why)) {
    d->culprit = text;
    return false;
  }
  d->utf8 = d->utf8 || addr.utf8;
  return lm_addr_spec(&d->txn->arena, &addr, path_out);
}

/* A recipient as the caller names it. */
struct named {
  struct lm_str text;
  struct lm_str params; /* its own, in the place of those of all; p is NULL where it has none */
};

static bool add_rcpt(struct draft *d, const struct named *r) {
  struct lm_str path;
  return read_address(d, r->text, LM_ADDR_NULL_REFUSED, &path) &&
         lm_smtp_txn_rcpt(d->txn, path, r->params.p ? r->params : d->rcpt_params, &d->why);
}

/* The string on the top of the stack, where it must stay. */
static struct lm_str top_string(lua_State *L) {
  struct lm_str s = LM_NOSTR;
  if (lua_type(L, -1) == LUA_TSTRING) s.p = lua_tolstring(L, -1, &s.n);
  return s;
}

/* The recipient on the top of the stack: a string, or a table with `address` and, where it has some of
** its own, `params`. Its texts stay on the stack: a finalizer may change the options at any time. */
static bool top_rcpt(lua_State *L, struct named *out) {
  out->params = LM_NOSTR;
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "params");
    out->params = top_string(L);
    lua_getfield(L, -2, "address");
  }
  out->text = top_string(L);
  return out->text.p != NULL;
}

/* Notes whether a recipient needs SMTPUTF8, which MAIL must say before any is named. */
static bool scan_rcpt(struct draft *d, const struct named *r) {
  struct lm_str path;
  return lm_str_is_ascii(r->text) || read_address(d, r->text, LM_ADDR_NULL_REFUSED, &path);
}

/* Calls `use` for all recipients of the value at `i`: one, or an array. */
static bool each_rcpt(lua_State *L, int i, struct draft *d,
                      bool (*use)(struct draft *d, const struct named *r)) {
  struct named r;
  size_t n, k;
  int top = lua_gettop(L);
  lua_pushvalue(L, i);
  if (top_rcpt(L, &r)) return use(d, &r);
  if (!lua_istable(L, i))
    return complain(d, "misuse", "option 'to' must be an address or an array");
  n = lua_rawlen(L, i);
  if (n == 0) return complain(d, "invalid", "no recipient");
  for (k = 1; k <= n; k++) {
    lua_settop(L, top);
    lua_rawgeti(L, i, (int)k);
    if (!top_rcpt(L, &r)) return complain(d, "misuse", "option 'to' must hold addresses");
    if (!use(d, &r)) return false;
  }
  return true;
}

/* The header of a message: up to its first empty line. */
static struct lm_str header_of(struct lm_str message) {
  const char *p = message.p, *end = message.p + message.n;
  while (p < end) {
    const char *lf = memchr(p, '\n', (size_t)(end - p));
    if (lf == NULL || lf == p || (lf == p + 1 && *p == '\r')) break;
    p = lf + 1;
  }
  return (struct lm_str){message.p, (size_t)(p - message.p)};
}

static bool lack(struct draft *d, const char *extension, const char *why) {
  d->lacks = extension;
  return complain(d, "unsupported", why);
}

/* True where the text may not travel as BODY=8BITMIME: a NUL, or a line that is too long (RFC 5321
** §4.5.3.1.6). */
static bool wants_binary(struct lm_str text) {
  enum { LONGEST = 1000 };
  const char *end = text.p + text.n, *p = text.p;
  if (memchr(text.p, 0, text.n)) return true;
  while (end - p > LONGEST) {
    const char *lf = memchr(p, '\n', LONGEST);
    if (lf == NULL) return true;
    p = lf + 1;
  }
  return false;
}

/* BINARYMIME: where the message must go as it is, a demand; else said where the server has it and the
** message would break the rules without (RFC 3030 §3). */
static bool check_binary(struct draft *d, const struct lm_smtp_ehlo *e, struct lm_str head) {
  struct lm_smtp_txn *t = d->txn;
  bool offered = t->chunked && (e->has & LM_SMTP_CHUNKING) && (e->has & LM_SMTP_BINARYMIME);
  if (t->binary && !offered)
    return lack(d, "BINARYMIME", "the message needs BINARYMIME, which the server lacks");
  d->body_binary = t->binary || (offered && head.n && wants_binary(head));
  return true;
}

/* Which extensions the message needs, and whether the server has them. `head` is what is known of
** the message: all of it, or its first piece. */
static bool check_extensions(struct draft *d, struct lm_str head, uint64_t size) {
  const struct lm_smtp_ehlo *e = lm_smtpc_ehlo(d->session);
  struct lm_smtp_txn *t = d->txn;
  if (!lm_str_is_ascii(header_of(head))) d->utf8 = true;
  if (d->utf8 && !(e->has & LM_SMTP_SMTPUTF8)) {
    return lack(d, "SMTPUTF8", "the message needs SMTPUTF8, which the server lacks");
  }
  if (!check_binary(d, e, head)) return false;
  t->seven_bit = !(e->has & LM_SMTP_8BITMIME) && !d->body_binary;
  if (t->seven_bit && !lm_str_is_ascii(head)) {
    return lack(d, "8BITMIME", "the message needs 8BITMIME, which the server lacks");
  }
  t->seen.plain = true;
  if (t->strict && !t->streamed && (lm_dotout_is_bare(&t->seen, head) || t->seen.cr)) {
    return complain(d, "invalid", "the message has a CR or LF that is no line ending");
  }
  if (e->max_size && size > e->max_size) {
    return complain(d, "rejected", "the message is larger than the server takes (SIZE)");
  }
  return true;
}

static char *append_size(char *p, uint64_t size) {
  char digits[20];
  size_t i = sizeof digits;
  do {
    digits[--i] = (char)('0' + size % 10);
  } while (size /= 10);
  return lm_append(lm_append(p, LM_STR(" SIZE=")), (struct lm_str){digits + i, sizeof digits - i});
}

/* The parameters of MAIL: BODY (RFC 6152), SMTPUTF8 (RFC 6531), SIZE (RFC 1870), the caller's. */
static bool put_mail(struct draft *d, uint64_t size) {
  enum { OURS = 64 }; /* all but the caller's, and to spare */
  const struct lm_smtp_ehlo *e = lm_smtpc_ehlo(d->session);
  struct lm_str body = d->body_binary ? LM_STR(" BODY=BINARYMIME") : LM_STR(" BODY=8BITMIME");
  char *params = lm_arena_alloc(&d->txn->arena, OURS + d->mail_params.n), *p = params;
  d->why = "out of memory";
  if (p == NULL) return false;
  if (!d->txn->seven_bit) p = lm_append(p, body);
  if (d->utf8) p = lm_append(p, LM_STR(" SMTPUTF8"));
  if (size && (e->has & LM_SMTP_SIZE)) p = append_size(p, size);
  p = lm_append(p, d->mail_params);
  return lm_smtp_txn_mail(d->txn, d->from, (struct lm_str){params, (size_t)(p - params)}, &d->why);
}

/* MAIL, once it is known whether the message can go at all; recipients follow. */
static bool begin_mail(struct draft *d, struct lm_str head, uint64_t size) {
  return check_extensions(d, head, size) && put_mail(d, size);
}

static bool end_envelope(struct draft *d) {
  return d->txn->chunked || lm_smtp_txn_data(d->txn) || complain(d, "io", "out of memory");
}

/* Reads the envelope at `i` = {from=, to=} into the draft's transaction. */
static bool read_envelope(lua_State *L, int i, struct draft *d, struct lm_str head, uint64_t size) {
  struct named from;
  int to;
  lua_getfield(L, i, "from");
  if (!top_rcpt(L, &from)) return complain(d, "misuse", "option 'from' must be an address");
  if (!read_address(d, from.text, LM_ADDR_NULL_TAKEN, &d->from)) return false;
  lua_getfield(L, i, "to");
  to = lua_gettop(L);
  if (!each_rcpt(L, to, d, scan_rcpt)) return false;
  return begin_mail(d, head, size) && each_rcpt(L, to, d, add_rcpt) && end_envelope(d);
}

static bool has_chunking(struct lm_smtpc *s) {
  return (lm_smtpc_ehlo(s)->has & LM_SMTP_CHUNKING) != 0;
}

/* How the content is to travel: "refuse" bare line endings, "keep" all octets, or "url": parts of it
** are fetched by the server. */
enum manner { USUAL, REFUSE, KEEP, URL };

static enum manner checkmanner(lua_State *L, int i) {
  static const char *const manners[] = {"usual", "refuse", "keep", "url", NULL};
  return (enum manner)luaL_checkoption(L, i, "usual", manners);
}

static void set_manner(struct draft *d, enum manner manner) {
  d->txn->chunked = manner == URL || has_chunking(d->session);
  d->txn->strict = manner == REFUSE;
  d->txn->binary = manner == KEEP;
}

/* A size in octets that a number can tell exactly; false for any other. */
static bool read_size(lua_Number n, uint64_t *out) {
  if (!(n >= 0 && n <= 9007199254740992.0)) return false;
  *out = (uint64_t)n;
  return true;
}

/* A transaction to fill in; false where memory is short. */
static bool new_draft(struct draft *d, struct lm_box *b) {
  memset(d, 0, sizeof *d);
  d->session = b->session;
  d->kind = "invalid";
  return (d->txn = lm_smtpc_txn(d->session)) != NULL;
}

/* Queues the transaction; 0 where the session does not take it. What it lends, the value at `i` (0:
** nothing), is anchored first: that may raise, and nothing may be lent that nobody holds. */
static uint32_t queue(lua_State *L, struct lm_box *b, struct draft *d, int i) {
  uint32_t next = lm_smtpc_next_id(d->session), id;
  if (i) lm_box_anchor(L, b, next, i);
  id = lm_smtpc_send(d->session, d->txn);
  if (id) return id;
  d->why = lm_smtpc_refusal(d->session);
  if (i) lm_box_release(L, b, next);
  return 0;
}

/* nil, reason, kind, address | nil, extension | nil */
static int push_refusal(lua_State *L, const struct draft *d) {
  lm_push_id(L, 0, d->why);
  lua_pushstring(L, d->kind);
  if (d->culprit.p) {
    lm_pushstr(L, d->culprit);
  } else {
    lua_pushnil(L);
  }
  lua_pushstring(L, d->lacks);
  return 5;
}

/* transaction({from=, to=}, message | nil, size | nil, head, mail_params, rcpt_params, manner)
**   -> id | nil, reason, kind, address that was refused | nil, extension that is lacking | nil
** Without a message its content is streamed: event "go", then give(). `head` is then its first
** piece, by which 8-bit text is told. Kind "misuse" means a bug of the caller. */
int lm_smtp_transaction(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_str message = lm_optboxstr(L, 3), head = lm_optboxstr(L, 5);
  struct lm_str mail_params = lm_optboxstr(L, 6), rcpt_params = lm_optboxstr(L, 7);
  lua_Number size = luaL_optnumber(L, 4, (lua_Number)message.n);
  enum manner manner = checkmanner(L, 8);
  struct draft d;
  uint64_t octets = 0;
  uint32_t id = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  lm_box_hold_and_call(L, b, lm_smtp_transaction);
  if (!new_draft(&d, b)) return luaL_error(L, "out of memory");
  d.mail_params = mail_params;
  d.rcpt_params = rcpt_params;
  d.txn->streamed = message.p == NULL;
  set_manner(&d, manner);
  d.txn->text = message;
  if (!read_size(size, &octets)) {
    complain(&d, "misuse", "option 'size' must be a number of octets");
  } else if (read_envelope(L, 2, &d, message.p ? message : head, octets)) {
    id = queue(L, b, &d, message.p ? 3 : 0);
  }
  return lm_box_let_go(L, b, id ? lm_push_id(L, id, NULL) : push_refusal(L, &d));
}

/* --- the usual message ------------------------------------------------------------------------- */

/* The options of a message that has its envelope beside it and asks for nothing. */
struct usual {
  struct lm_str from;
  struct lm_str message;
  int to; /* where on the stack it lies; 0: it is missing */
  int message_at;
  bool sized;
  uint64_t size;
};

/* One option, its value at `i`. False where it is none of the usual ones. */
static bool take_option(lua_State *L, struct lm_str key, int i, struct usual *u) {
  int type = lua_type(L, i);
  if (key.n == 2 && memcmp(key.p, "to", 2) == 0) {
    u->to = i;
    return type == LUA_TSTRING || type == LUA_TTABLE;
  }
  if (key.n == 4 && memcmp(key.p, "from", 4) == 0) {
    if (type != LUA_TSTRING) return false;
    u->from.p = lua_tolstring(L, i, &u->from.n);
    return true;
  }
  if (key.n == 4 && memcmp(key.p, "size", 4) == 0) {
    u->sized = true;
    return type == LUA_TNUMBER && read_size(lua_tonumber(L, i), &u->size);
  }
  if (key.n != 7) return false;
  if (memcmp(key.p, "timeout", 7) == 0) {
    lua_Number seconds = lua_tonumber(L, i);
    return type == LUA_TNUMBER && seconds == seconds;
  }
  if (memcmp(key.p, "message", 7) != 0 || type != LUA_TSTRING) return false;
  u->message.p = lua_tolstring(L, i, &u->message.n);
  u->message_at = i;
  return true;
}

/* Takes the options at 2, the last argument, apart. Their values stay on the stack, each above its key: a
** finalizer may change the table at any time. */
static bool read_usual(lua_State *L, struct usual *u) {
  struct lm_str key;
  int i = 3;
  memset(u, 0, sizeof *u);
  if (!lua_istable(L, 2) || lua_getmetatable(L, 2)) return false;
  for (lua_pushnil(L); lua_next(L, 2); lua_pushvalue(L, i), i += 2) {
    /* Makes a string of a number, which would mislead lua_next: but none is an option. */
    if ((key.p = lua_tolstring(L, i, &key.n)) == NULL) return false;
    if (!take_option(L, key, i + 1, u)) return false;
  }
  if (!u->sized) u->size = u->message.n;
  return u->from.p && u->message.p && u->to;
}

/* One recipient that is the string at `i`; MAIL has been written, so that it must not need SMTPUTF8 if
** nothing before it did. */
static bool add_usual(lua_State *L, int i, struct draft *d) {
  struct named r = {LM_NOSTR, LM_NOSTR};
  bool utf8 = d->utf8;
  if (lua_type(L, i) != LUA_TSTRING) return false;
  r.text.p = lua_tolstring(L, i, &r.text.n);
  return add_rcpt(d, &r) && d->utf8 == utf8;
}

/* The recipients at `i`: a string, or an array of strings. */
static bool add_all(lua_State *L, int i, struct draft *d) {
  size_t n, k;
  if (!lua_istable(L, i)) return add_usual(L, i, d);
  n = lua_rawlen(L, i);
  if (n == 0 || lua_getmetatable(L, i)) return false;
  for (k = 1; k <= n; k++) {
    bool added;
    lua_rawgeti(L, i, (int)k);
    added = add_usual(L, -1, d);
    if (!added) return false;
    lua_pop(L, 1);
  }
  lua_getfield(L, i, "address"); /* it would be one recipient, not an array */
  return lua_isnil(L, -1);
}

/* core.smtp_is_usual(options) -> boolean: their names and types are those that `usual` takes */
int lm_smtp_is_usual(lua_State *L) {
  struct usual u;
  lua_settop(L, 1);
  lua_pushvalue(L, 1); /* where a method has its argument */
  lua_pushboolean(L, read_usual(L, &u));
  return 1;
}

/* usual({from=, to=, message=, size=, timeout=}) -> id | nil
** The same as transaction(options, options.message, options.size) where nothing else is in the options,
** from and message are strings, `to` is one or an array of them, and the session takes it. In any other case
** nil: nothing was queued, and transaction() tells what is wrong. */
int lm_smtp_usual(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct usual u;
  struct draft d;
  uint32_t id = 0;
  lua_settop(L, 2);
  if (!read_usual(L, &u)) return 0;
  if (b->session == NULL) return luaL_error(L, "session is freed"); /* by a finalizer */
  lm_box_may_anchor(L, b);
  if (!new_draft(&d, b)) return 0; /* from here on nothing collects */
  d.txn->text = u.message;
  d.txn->chunked = has_chunking(d.session);
  if (read_address(&d, u.from, LM_ADDR_NULL_TAKEN, &d.from) && begin_mail(&d, u.message, u.size) &&
      add_all(L, u.to, &d) && end_envelope(&d)) {
    id = queue(L, b, &d, u.message_at);
  }
  if (id) return lm_push_id(L, id, NULL);
  lm_smtp_txn_reset(d.txn);
  return 0;
}
