/*
** addr.c: address lists of header fields, read tolerantly.
**
** One entry at a time: a first look at its tokens finds where it ends and what it is (a bare
** address, a name before "<", a group), a second reads its parts. So nothing recurses, and each
** byte is read a fixed number of times. Text is gathered without copying as long as its pieces lie
** side by side.
*/
#include "mime/addr.h"

#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/lex.h"
#include "mime/word2047.h"

struct parser {
  struct lm_arena *arena;
  struct lm_addr_list *list;
  struct lm_lex lex;
  const char *begin;
  struct lm_addr **tail;
  struct lm_addr *last;   /* the entry being read, or read last */
  struct lm_addr *lone;   /* the entry before, if a comma ended it and it has no "@": perhaps the */
  const char *lone_begin; /* ... front of an unquoted name, "Smith, John <...>" */
  bool in_group;
  bool loose; /* no comma came before this entry: text without an address is left over */
};

/* What the first look finds. */
struct entry {
  const char *begin;
  const char *end;      /* where the byte stands that ends it */
  char stop;            /* that byte; NUL at the end of the text */
  size_t words;         /* tokens that are not space or comment; a dotted row of them is one */
  size_t ats;           /* "@" */
  bool odd;             /* holds specials that no phrase may hold */
  struct lm_str remark; /* the last comment */
};

static void defect(struct parser *p, const char *at, const char *why) {
  if (p->list->defects++ > 0) return;
  p->list->why = why;
  p->list->offset = (size_t)(at - p->begin);
}

static struct lm_addr *add(struct parser *p, enum lm_addr_kind kind) {
  struct lm_addr *addr = lm_arena_zero(p->arena, sizeof *addr);
  if (addr == NULL) return NULL;
  addr->kind = kind;
  addr->member = kind == LM_ADDR_MAILBOX && p->in_group;
  *p->tail = addr;
  p->tail = &addr->next;
  p->list->count++;
  p->last = addr;
  return addr;
}

/* --- gathering text -------------------------------------------------------------------------- */

struct gather {
  struct lm_arena *arena;
  size_t room;     /* no more than this will be gathered */
  struct lm_str s; /* so far: a slice of the source, or ... */
  char *copy;      /* ... this */
};

/* Goes over to a copy; NULL when memory is short. */
static char *own(struct gather *g) {
  if (g->copy) return g->copy;
  if ((g->copy = lm_arena_alloc(g->arena, g->room)) == NULL) return NULL;
  if (g->s.n) memcpy(g->copy, g->s.p, g->s.n);
  g->s.p = g->copy;
  return g->copy;
}

static bool put(struct gather *g, struct lm_str piece) {
  if (g->copy == NULL && (g->s.n == 0 || g->s.p + g->s.n == piece.p)) {
    if (g->s.n == 0) g->s.p = piece.p;
    g->s.n += piece.n;
    return true;
  }
  if (own(g) == NULL) return false;
  memcpy(g->copy + g->s.n, piece.p, piece.n);
  g->s.n += piece.n;
  return true;
}

/* The content of a quoted string or a comment. */
static bool put_inside(struct gather *g, struct lm_str text) {
  if (lm_lex_is_plain(text)) return put(g, (struct lm_str){text.p + 1, text.n - 2});
  if (own(g) == NULL) return false;
  g->s.n += lm_lex_inside(text, g->copy + g->s.n);
  return true;
}

/* --- names ----------------------------------------------------------------------------------- */

static bool put_word(struct gather *g, const struct lm_lex_token *t) {
  char c = t->text.p[0];
  if (t->kind == LM_LEX_QUOTED) return put_inside(g, t->text);
  if (c == '\r' || c == '\n' || c == '\0') return put(g, LM_STR(" "));
  return put(g, t->text);
}

/* Names in apostrophes are Outlook's; inside a quoted string they are meant. */
static struct lm_str without_apostrophes(struct lm_str s) {
  if (s.n < 2 || s.p[0] != '\'' || s.p[s.n - 1] != '\'') return s;
  return (struct lm_str){s.p + 1, s.n - 2};
}

/* phrase = 1*word / obs-phrase: the words as text, white space and comments between them one space.
** An address that is shown as a name is not decoded. */
static bool phrase(struct parser *p, const char *from, const char *end, bool decode,
                   struct lm_str *out) {
  struct lm_lex x = lm_lex_part(&p->lex, from, end);
  struct gather g = {p->arena, (size_t)(end - from) + 1, {from, 0}, NULL};
  struct lm_lex_token t;
  struct lm_str gap = LM_NOSTR;
  bool quoted = false;
  for (lm_lex_next(&x, &t); t.kind != LM_LEX_END; lm_lex_next(&x, &t)) {
    if (t.kind == LM_LEX_SPACE || t.kind == LM_LEX_COMMENT) {
      gap = t.text.p[0] == ' ' && t.text.n == 1 && !gap.p ? t.text : LM_STR(" ");
      continue;
    }
    if (gap.p && g.s.n > 0 && !put(&g, gap)) return false;
    gap = LM_NOSTR;
    quoted = quoted || t.kind == LM_LEX_QUOTED;
    if (!put_word(&g, &t)) return false;
  }
  if (!quoted) g.s = without_apostrophes(g.s);
  return decode ? lm_word2047_decode(p->arena, g.s, out) : lm_charset_guess(p->arena, g.s, out);
}

static bool remark(struct parser *p, struct lm_str comment, struct lm_str *out) {
  struct gather g = {p->arena, comment.n, {comment.p, 0}, NULL};
  if (comment.n == 0) return true;
  return put_inside(&g, comment) && lm_word2047_decode(p->arena, g.s, out);
}

/* --- addr-spec ------------------------------------------------------------------------------- */

enum place {
  LOCAL_BEGIN,
  LOCAL_WORD,
  LOCAL_DOT,
  DOMAIN_BEGIN,
  DOMAIN_WORD,
  DOMAIN_DOT,
  DOMAIN_END
};

struct spec {
  struct gather local;
  struct gather domain;
  enum place place;
  const char *begin; /* of the local part */
  bool bad;          /* no address can be made of it */
};

/* local-part = dot-atom / quoted-string / obs-local-part; obs-local-part = word *("." word) */
static bool local_word(struct parser *p, struct spec *s, const struct lm_lex_token *t) {
  if (s->place == LOCAL_WORD) { /* "bob smith@x.org": what came before is a name, if anything */
    defect(p, t->text.p, "two words in a local part");
    s->local.s.n = 0;
  }
  if (s->place != LOCAL_DOT) s->begin = t->text.p;
  s->place = LOCAL_WORD;
  return t->kind == LM_LEX_QUOTED ? put_inside(&s->local, t->text) : put(&s->local, t->text);
}

/* domain = dot-atom / domain-literal / obs-domain; obs-domain = atom *("." atom) */
static bool domain_word(struct parser *p, struct spec *s, const struct lm_lex_token *t) {
  if (s->place == DOMAIN_BEGIN || (s->place == DOMAIN_DOT && t->kind == LM_LEX_ATOM)) {
    s->place = t->kind == LM_LEX_LITERAL ? DOMAIN_END : DOMAIN_WORD;
    s->bad = s->bad || t->kind == LM_LEX_QUOTED;
    return put(&s->domain, t->text);
  }
  defect(p, t->text.p, "text behind an address");
  s->bad = s->bad || s->place == DOMAIN_DOT;
  s->place = DOMAIN_END;
  return true;
}

static bool dot(struct parser *p, struct spec *s, const struct lm_lex_token *t) {
  bool local = s->place < DOMAIN_BEGIN;
  if (s->place == DOMAIN_END) {
    s->bad = true;
    return true;
  }
  if (s->place != LOCAL_WORD && s->place != DOMAIN_WORD) {
    defect(p, t->text.p, "a dot without a word before it");
    if (s->place == LOCAL_BEGIN) s->begin = t->text.p;
  }
  s->place = local ? LOCAL_DOT : DOMAIN_DOT;
  return put(local ? &s->local : &s->domain, t->text);
}

static bool spec_token(struct parser *p, struct spec *s, const struct lm_lex_token *t) {
  switch (t->kind) {
  case LM_LEX_SPACE:
  case LM_LEX_COMMENT: return true;
  case LM_LEX_ATOM:
  case LM_LEX_QUOTED: return s->place < DOMAIN_BEGIN ? local_word(p, s, t) : domain_word(p, s, t);
  case LM_LEX_LITERAL:
    if (s->place >= DOMAIN_BEGIN) return domain_word(p, s, t);
    break;
  default:
    if (*t->text.p == '.') return dot(p, s, t);
    if (*t->text.p == '@' && (s->place == LOCAL_WORD || s->place == LOCAL_DOT)) {
      if (s->place == LOCAL_DOT) defect(p, t->text.p, "a dot before @");
      s->place = DOMAIN_BEGIN;
      return true;
    }
  }
  s->bad = true;
  return true;
}

/* Octets that no address may hold, even quoted. */
static bool has_control(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if ((c < ' ' && c != '\t') || c == 127) return true;
  }
  return false;
}

/* The parts of an address as valid UTF-8. */
static bool settle_spec(struct parser *p, struct spec *s, struct lm_addr *addr) {
  struct lm_str local = s->local.s;
  struct lm_str domain = s->domain.s;
  if (s->place == DOMAIN_DOT) defect(p, s->begin, "a dot at the end of a domain");
  if (has_control(local) || has_control(domain)) defect(p, s->begin, "a control character");
  if (!lm_utf8_valid(local) || !lm_utf8_valid(domain)) defect(p, s->begin, "not UTF-8");
  if (!lm_charset_guess(p->arena, local, &addr->local)) return false;
  if (s->place < DOMAIN_BEGIN) {
    defect(p, s->begin, "an address without a domain");
    return true;
  }
  return lm_charset_guess(p->arena, domain, &addr->domain);
}

/*
** addr-spec = local-part "@" domain, between `from` and `end`. Fills the address; the byte where it
** begins to *begin_out, or `end` where there is none.
*/
static bool addr_spec(struct parser *p, const char *from, const char *end, struct lm_addr *addr,
                      const char **begin_out) {
  size_t room = (size_t)(end - from);
  struct spec s = {{p->arena, room, {from, 0}, NULL},
                   {p->arena, room, {from, 0}, NULL},
                   LOCAL_BEGIN,
                   from,
                   false};
  struct lm_lex x = lm_lex_part(&p->lex, from, end);
  struct lm_lex_token t;
  for (lm_lex_next(&x, &t); t.kind != LM_LEX_END; lm_lex_next(&x, &t)) {
    if (!spec_token(p, &s, &t)) return false;
  }
  *begin_out = s.begin;
  if (!s.bad && s.place != LOCAL_BEGIN && s.place != DOMAIN_BEGIN) return settle_spec(p, &s, addr);
  defect(p, from, "no address");
  *begin_out = end;
  return true;
}

/* --- entries --------------------------------------------------------------------------------- */

/* A special that ends the first look at an entry. A colon begins a group where one may. */
static bool stops(const struct parser *p, const struct entry *e, char c) {
  if (c == ':') return !p->in_group && e->words > 0 && e->ats == 0 && !e->odd;
  return c == ',' || c == ';' || c == '<';
}

/* Counts one token; false where it ends the entry. */
static bool look_at(const struct parser *p, struct entry *e, const struct lm_lex_token *t,
                    bool behind_dot) {
  char c = *t->text.p;
  if (t->kind == LM_LEX_COMMENT) e->remark = t->text;
  if (t->kind <= LM_LEX_COMMENT) return true;
  if (t->kind == LM_LEX_WORD || (t->kind == LM_LEX_LITERAL && e->ats == 0)) e->odd = true;
  if (t->kind == LM_LEX_SPECIAL) {
    if (stops(p, e, c)) {
      e->end = t->text.p;
      e->stop = c;
      return false;
    }
    e->ats += c == '@';
    e->odd = e->odd || (c == '.' ? e->words == 0 : c != '@');
    if (c == '.') return true;
  }
  e->words += !behind_dot;
  return true;
}

static void look(struct parser *p, struct entry *e) {
  struct lm_lex_token t;
  bool dot = false;
  *e = (struct entry){p->lex.p, p->lex.end, '\0', 0, 0, false, {NULL, 0}};
  for (;;) {
    lm_lex_next(&p->lex, &t);
    if (t.kind == LM_LEX_END || !look_at(p, e, &t, dot)) return;
    dot = t.kind == LM_LEX_SPECIAL && *t.text.p == '.' && e->words > 0;
  }
}

/* A name that is the address itself says nothing wrong; any other "@" in it may deceive. */
static bool repeats(struct lm_str name, const struct lm_addr *addr) {
  size_t n = addr->local.n;
  if (addr->domain.p == NULL || name.n != n + 1 + addr->domain.n || name.p[n] != '@') return false;
  return lm_str_eq((struct lm_str){name.p, n}, addr->local) &&
         lm_str_ieq((struct lm_str){name.p + n + 1, addr->domain.n}, addr->domain);
}

/* What stands between "<" and ">": the route, obs-route = *("," / CFWS) "@" domain ... ":", is
** passed over (RFC 5322 §4.4). Moves behind ">", or to what ends an entry that lacks it. */
static void brackets(struct parser *p, const char **from, const char **end) {
  struct lm_lex_token t;
  bool first = true;
  bool route = false;
  *from = p->lex.p;
  for (;;) {
    const char *at = p->lex.p;
    char c;
    lm_lex_next(&p->lex, &t);
    *end = t.text.p;
    if (t.kind == LM_LEX_END) break;
    if (t.kind == LM_LEX_SPACE || t.kind == LM_LEX_COMMENT) continue;
    c = (char)(t.kind == LM_LEX_SPECIAL ? *t.text.p : 'a');
    if (c == '>') return;
    if (first) route = c == '@' || c == ',';
    first = false;
    if (route && c == ':') {
      *from = p->lex.p;
      route = false;
    } else if (c == '<' || c == ';' || (c == ',' && !route)) {
      p->lex.p = at;
      break;
    }
  }
  defect(p, *from, "a bracket that is not closed");
}

/* The words before "<", or the comment where there are none. */
static bool name_of(struct parser *p, const struct entry *e, const char *from,
                    struct lm_addr *addr) {
  if (e->words == 0) return remark(p, e->remark, &addr->name);
  if (!phrase(p, from, e->end, true, &addr->name)) return false;
  if (e->odd) defect(p, e->begin, "unquoted specials in a name");
  if (e->ats > 0 && !repeats(addr->name, addr)) defect(p, e->begin, "an unquoted @ in a name");
  return true;
}

/* name-addr = [display-name] angle-addr */
static bool in_brackets(struct parser *p, const struct entry *e) {
  const char *from;
  const char *end;
  const char *ignored;
  const char *name_from = e->begin;
  struct lm_addr **before = p->tail;
  struct lm_addr *addr = p->lone;
  if (addr && e->words) {
    name_from = p->lone_begin;
    p->last = addr;
  } else if ((addr = add(p, LM_ADDR_MAILBOX)) == NULL) {
    return false;
  }
  addr->local = addr->domain = addr->name = LM_NOSTR;
  brackets(p, &from, &end);
  if (!addr_spec(p, from, end, addr, &ignored) || !name_of(p, e, name_from, addr)) return false;
  if (addr->local.p == NULL && addr->name.n == 0 && *before) { /* "<>" says nothing */
    *before = p->last = NULL;
    p->tail = before;
    p->list->count--;
  }
  return true;
}

/* Text without brackets: an address, or what is left over. */
static bool bare(struct parser *p, const struct entry *e) {
  struct lm_addr *addr;
  const char *begin;
  if (e->words == 0) {
    if (e->odd) defect(p, e->begin, "text without an address");
    return true;
  }
  if (p->loose && e->ats == 0) return true;
  if ((addr = add(p, LM_ADDR_MAILBOX)) == NULL) return false;
  if (e->ats == 0 && e->words > 1) {
    defect(p, e->begin, "no address");
    return phrase(p, e->begin, e->end, true, &addr->name);
  }
  if (!addr_spec(p, e->begin, e->end, addr, &begin)) return false;
  if (!phrase(p, e->begin, begin, e->ats == 0 || addr->local.p, &addr->name)) return false;
  return addr->name.n > 0 || remark(p, e->remark, &addr->name);
}

/* Ends a group, or stands where a comma should. */
static bool semicolon(struct parser *p, const char *at) {
  if (!p->in_group) {
    defect(p, at, "a semicolon outside of a group");
    return true;
  }
  p->in_group = false;
  return add(p, LM_ADDR_GROUP_END) != NULL;
}

/* group = display-name ":" [group-list] ";" */
static bool begin_group(struct parser *p, const struct entry *e) {
  struct lm_addr *addr = add(p, LM_ADDR_GROUP);
  if (addr == NULL || !phrase(p, e->begin, e->end, true, &addr->name)) return false;
  p->in_group = true;
  return true;
}

/* What may stand between an address in brackets, or a group's end, and the comma: comments, of which
** one is the name where no other is known, and ";". */
static bool behind(struct parser *p, struct lm_addr *last) {
  struct lm_lex_token t;
  for (;;) {
    bool grouped = p->in_group;
    lm_lex_next(&p->lex, &t);
    if (t.kind == LM_LEX_SPACE) continue;
    if (t.kind == LM_LEX_COMMENT) {
      if (last && last->name.n == 0 && !remark(p, t.text, &last->name)) return false;
      continue;
    }
    if (t.kind == LM_LEX_END || (t.kind == LM_LEX_SPECIAL && *t.text.p == ',')) return true;
    if (t.kind != LM_LEX_SPECIAL || *t.text.p != ';') break;
    if (!semicolon(p, t.text.p)) return false;
    if (!grouped) return true;
    last = NULL;
  }
  defect(p, t.text.p, "text behind an address");
  p->lex.p = t.text.p;
  p->loose = true;
  return true;
}

static bool entry(struct parser *p) {
  struct entry e;
  bool grouped = p->in_group;
  bool ok;
  p->last = NULL;
  look(p, &e);
  switch (e.stop) {
  case '<': ok = in_brackets(p, &e); break;
  case ':': ok = begin_group(p, &e); break;
  default: ok = bare(p, &e); break;
  }
  p->lone = e.stop == ',' && e.ats == 0 ? p->last : NULL;
  p->lone_begin = e.begin;
  p->loose = false;
  if (!ok) return false;
  if (e.stop == '<') return behind(p, p->last);
  if (e.stop != ';') return true;
  return semicolon(p, e.end) && (!grouped || behind(p, NULL));
}

bool lm_addr_list(struct lm_arena *a, struct lm_str text, struct lm_addr_list *out) {
  struct parser p = {a, out, lm_lex(text), NULL, &out->first, NULL, NULL, NULL, false, false};
  *out = (struct lm_addr_list){NULL, 0, 0, NULL, 0};
  p.begin = p.lex.p;
  while (p.lex.p < p.lex.end) {
    if (out->count >= LM_ADDRESSES) {
      defect(&p, p.lex.p, "too many addresses");
      break;
    }
    if (!entry(&p)) return false;
  }
  if (!p.in_group) return true;
  defect(&p, p.lex.p, "a group that is not closed");
  return semicolon(&p, p.lex.p);
}
