// What is known of all pairs of methods, as pairs.py writes it: how it is read, and how its numbers are written.
"use strict";

const pairs = {
  // a figure with a true minus sign; nothing is written as minus zero
  number(value) {
    const text = value.toFixed(3);
    return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
  },

  signed(value) {
    const text = pairs.number(value);
    return value > 0 && Number(text) !== 0 ? `+${text}` : text;
  },

  interval(low, high) {
    return `${pairs.number(low)}\u2009\u2013\u2009${pairs.number(high)}`;
  },

  p(value) {
    return value < 0.001 ? "p\u00a0<\u00a0.001" : `p\u00a0=\u00a0${value.toFixed(3).replace("0.", ".")}`;
  },

  // The first method against the second, of so many methods; null where they share no example.
  read(data, methods, first, second) {
    const swapped = first > second, i = Math.min(first, second), j = Math.max(first, second);
    const at = i * methods - i * (i + 1) / 2 + j - i - 1;
    if (i === j || data.p[at] === null) return null;
    const few = data.few[at];
    const means = few ? few.slice(1) : [data.means[i], data.means[j]];
    const examples = few ? few[0] : data.examples;
    const better = data.wins[at], same = data.ties[at], worse = examples - better - same;
    const low = data.low[at] / 1000, high = data.high[at] / 1000;
    const apart = Number((means[0] - means[1]).toFixed(9));
    return {
      examples,
      means: swapped ? means.reverse() : means,
      difference: swapped ? -apart : apart,
      interval: swapped ? [-high, -low] : [low, high],
      p: data.p[at] / 1e6,
      counts: swapped ? [worse, same, better] : [better, same, worse],
    };
  },

  // Holm's correction of the p-values of tests that are looked at together.
  holm(values) {
    const order = [...values.keys()].sort((a, b) => values[a] - values[b]);
    const corrected = [];
    let largest = 0;
    order.forEach((index, place) => {
      largest = Math.max(largest, Math.min(1, (values.length - place) * values[index]));
      corrected[index] = largest;
    });
    return corrected;
  },
};
