/*
** lm.h: the one header that every file may include.
**
** Borrowed text, the three answers of a session, failures, and every limit with its default and
** the attack that it stops. No function of the library lives here.
*/
#ifndef LM_BASE_LM_H
#define LM_BASE_LM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed text: never owned, never NUL-terminated by contract. */
struct lm_str {
  const char *p;
  size_t n;
};

#define LM_STR(literal) ((struct lm_str){"" literal, sizeof(literal) - 1})
#define LM_NOSTR ((struct lm_str){NULL, 0})

/* What a session's `next` answers. */
enum lm_status {
  LM_EVENT, /* an event was written; it is valid until the next call on this session */
  LM_WAIT,  /* nothing to tell: send what is pending, then feed more input */
  LM_FAIL   /* the session is dead; lm_wire_error says why */
};

/* Why a session died. A refusal by the peer (NO, 5xx, -ERR) is never one of these. */
enum lm_code {
  LM_E_NONE,
  LM_E_PROTOCOL, /* the peer broke the grammar or the order of things */
  LM_E_LIMIT,    /* a limit of ours was passed */
  LM_E_CLOSED,   /* the stream ended before the protocol did */
  LM_E_TLS,      /* a TLS failure; the TLS filter holds the words */
  LM_E_MEMORY    /* an allocation failed */
};

enum { LM_SEEN_MAX = 40 };

/* A failure: what was expected, at which octet of the unit, and what stood there. */
struct lm_error {
  enum lm_code code;
  uint8_t seen_n;
  char seen[LM_SEEN_MAX];
  uint32_t offset;
  const char *expected; /* a literal: a grammar rule, or the name of the limit */
};

/*
** Limits. Each stops one attack; passing one is LM_E_LIMIT with the field's name.
** A session copies the struct that it is given.
*/
struct lm_limits {
  size_t line;        /* one line of SMTP or POP3, or of an IMAP command: endless lines */
  size_t response;    /* text of one IMAP response without its literals: endless lists */
  size_t literal;     /* a string inside an IMAP answer, held in memory: literal bombs */
  size_t message;     /* a body collected in memory: a transfer larger than the machine */
  size_t piece;       /* a body up to this size comes whole where longer ones come in pieces */
  size_t stream;      /* a body handed on in pieces; 0 = none: disks that fill */
  size_t reply_lines; /* lines of one SMTP reply or POP3 capability list: endless replies */
  size_t listing;     /* lines of one POP3 listing, 96 octets each on average: endless lists */
  size_t untagged;    /* untagged responses while one command waits; 0 = none: floods */
  size_t depth;       /* nested parentheses: stack and tree growth */
  size_t queue;       /* bytes of commands that wait to be sent: a stalled reader */
  size_t answer;      /* what one IMAP command brings, gathered in memory: endless answers */
  size_t backlog;     /* bytes held for a reader who is busy elsewhere */
  size_t challenge;   /* one SASL challenge, decoded */
  size_t sasl_steps;  /* challenges of one authentication: endless 334 or "+" */
};

#define LM_LIMITS_DEFAULT                                                                          \
  {                                                                                                \
    .line = 8192, .response = 1048576, .literal = 1048576, .message = 67108864, .piece = 32768,    \
    .stream = 0, .reply_lines = 1000, .listing = 1000000, .untagged = 0, .depth = 100,             \
    .queue = 16777216, .answer = 536870912, .backlog = 67108864, .challenge = 65536,               \
    .sasl_steps = 16                                                                               \
  }

/* A limit of the IMAP grammar that nobody needs to change. */
enum {
  LM_THREAD_DEPTH = 10000 /* brackets in brackets of a THREAD answer: stack and tree growth */
};

/* A limit of SMTP that nobody needs to change. */
enum {
  LM_REFUSALS =
      16777216 /* octets of the refusals of one transaction: long words to many recipients */
};

/* Limits of header grammars, which no session owns and nobody needs to change. */
enum {
  LM_COMMENT_DEPTH = 100, /* nested comments: deeper ones are text, not comments */
  LM_ADDRESSES = 1000000, /* of one list: "a,a,a," costs 50 times its size in memory */
  LM_LOCAL_PART = 64,     /* octets, RFC 5321 §4.5.3.1.1 */
  LM_DOMAIN = 255,        /* octets, RFC 5321 §4.5.3.1.2 */
  LM_MAILBOX = 254        /* octets: the path of RFC 5321 §4.5.3.1.3 without its brackets */
};

/*
** Limits of a message's structure. Passing one is a defect, not a failure: what lies beyond is kept as
** text without a structure.
*/
struct lm_mime_limits {
  size_t depth;      /* parts in parts: stack growth */
  size_t parts;      /* of one message: a million empty ones */
  size_t header;     /* octets of one part's header */
  size_t headers;    /* ... and of all together */
  size_t line;       /* octets of one header field, its folds included: what is held at a time */
  size_t parameters; /* of one header field: "a=b;" costs 20 times its size in memory */
};

#define LM_MIME_LIMITS_DEFAULT                                                                     \
  {                                                                                                \
    .depth = 100, .parts = 10000, .header = 10485760, .headers = 52428800, .line = 10485760,       \
    .parameters = 1000                                                                             \
  }

enum {
  LM_BOUNDARY = 512, /* octets; RFC 2046 §5.1.1 allows 70: what is compared with each "--" line */
  LM_DELIMITER = 1024,  /* ... of the whole line: what is held back until it ends */
  LM_TNEF_FILES = 1000, /* of one winmail.dat */
  LM_UU_FILES = 1000,   /* of one text */
  LM_DEFECTS = 1000     /* that are listed; others are counted */
};

/* Limits of signed messages (DKIM, ARC): headers of any size are held in memory while the body passes
** by, and each signature of a message costs two digests and a question to DNS. */
enum {
  LM_SIGN_HEADER = 16777216, /* octets of a message's header */
  LM_SIGN_FIELDS = 10000,    /* fields of it */
  LM_SIGN_TAGS = 64          /* tags of one signature or record: RFC 6376 knows 14 */
};

/* Limits of CMS objects (S/MIME): each signer costs a signature and a chain to verify, each digest a pass
** over the content, each recipient up to one operation with the private key. */
enum {
  LM_CMS_SIGNERS = 16,
  LM_CMS_DIGESTS = 8,
  LM_CMS_CERTIFICATES = 200,
  LM_CMS_RECIPIENTS = 2000,
  LM_CMS_SKEW = 3600 /* seconds by which a signer's clock may be wrong */
};

/* Compressed input: zip bombs. An octet may become RATIO octets; whatever exceeds that is taken from
** a credit, which input fills up again, so that a message of blanks passes and an endless one does
** not. One turn makes no more than TURN octets, so no call blocks a loop. */
enum { LM_INFLATE_RATIO = 100, LM_INFLATE_CREDIT = 134217728, LM_INFLATE_TURN = 262144 };

/* Limits of SASL. Fewer rounds than the first give the password away (RFC 7677 §4), more than the
** second hold the client up; a slice is the most that is done at once, however few are asked for. */
enum { LM_SCRAM_ROUNDS_MIN = 4096, LM_SCRAM_ROUNDS_MAX = 1000000, LM_SCRAM_SLICE = 256 };

#endif
