/* Results of the search: chapters and book pages before the pages of records and of the library. */
var Scorer = {
  score: ([docname, title, anchor, descr, score]) => (/^(api|records)\//.test(docname) ? score / 100 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
