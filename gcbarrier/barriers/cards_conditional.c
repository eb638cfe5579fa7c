/* The card table of cards.c, whose cards are tested before they are marked. */
#define GCB_CARDS_CONDITIONAL 1
#include "cards.c"
