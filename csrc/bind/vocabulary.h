/*
** vocabulary.h: words that mail is full of, found by their octets.
**
** A Lua string costs a hash over its octets and a look into the table of all strings each time that it is
** made. These words are made once for each state and kept in an array, at the place that is found here.
** Standard words only: nothing that a server said is ever added.
*/
#ifndef LM_BIND_VOCABULARY_H
#define LM_BIND_VOCABULARY_H

#include "base/lm.h"

enum {
  LM_VOCABULARY_LONGEST = 25,                               /* octets of a word */
  LM_VOCABULARY_ROW = 8,                                    /* words of one length */
  LM_VOCABULARY = LM_VOCABULARY_LONGEST * LM_VOCABULARY_ROW /* places, from 1 on; some are empty */
};

/* The place of the word that has these octets; 0: it is none. */
int lm_vocabulary_find(struct lm_str s);

/* The word at a place; of no octets where that is empty. */
struct lm_str lm_vocabulary_word(int place);

#endif
