// Matching, sorting and comparing model names as timm does.

/** Python's `fnmatch.fnmatchcase`, in time linear in the pattern for each character of the name. */
export function matchesWildcard(name: string, pattern: string): boolean {
  let n = 0;
  let p = 0;
  let retry: { n: number; p: number } | undefined; // after the last star: the name's next start, and where the pattern goes on
  while (n < name.length || p < pattern.length) {
    if (pattern[p] === '*') {
      retry = { n, p: ++p };
      continue;
    }
    const end = n < name.length ? matchCharacter(name[n], pattern, p) : 0;
    if (end) {
      n++;
      p = end;
    } else if (retry && retry.n < name.length) {
      n = ++retry.n;
      p = retry.p;
    } else {
      return false;
    }
  }
  return true;
}

/** Where `pattern` goes on after the element at `p`, or 0 where that element does not match `character`. */
function matchCharacter(character: string, pattern: string, p: number): number {
  if (pattern[p] === '[') {
    const negated = pattern[p + 1] === '!';
    const start = p + (negated ? 2 : 1);
    const end = pattern.indexOf(']', start + 1); // a bracket that comes first stands for itself
    if (end >= 0) return isInSet(character, pattern.slice(start, end)) !== negated ? end + 1 : 0;
  }
  return pattern[p] === '?' || pattern[p] === character ? p + 1 : 0;
}

/** Whether `character` is in a set such as `a-fxyz`. */
function isInSet(character: string, set: string): boolean {
  for (let i = 0; i < set.length; i++) {
    if (set[i + 1] === '-' && i + 2 < set.length) {
      if (set[i] <= character && character <= set[i + 2]) return true;
      i += 2;
    } else if (set[i] === character) {
      return true;
    }
  }
  return false;
}

/** `names` in natural order: numbers by value, letters without regard to case. */
export function sortNaturally(names: Iterable<string>): string[] {
  return Array.from(names, (name) => ({ name, key: naturalKey(name) }))
    .sort((a, b) => compareKeys(a.key, b.key))
    .map(({ name }) => name);
}

/** Text and numbers, alternating, text first. */
function naturalKey(name: string): (string | number)[] {
  return name
    .toLowerCase()
    .split(/(\d+)/)
    .map((part, i) => (i % 2 ? Number(part) : part));
}

function compareKeys(a: (string | number)[], b: (string | number)[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return a.length - b.length;
}

/** The `count` of `candidates` that take the fewest edits to become `name`, nearest first. */
export function nearestNames(name: string, candidates: Iterable<string>, count = 3): string[] {
  if (name.length > 100) return [];
  return Array.from(candidates, (candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** Damerau and Levenshtein's distance (optimal string alignment): insertions, deletions, substitutions, swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, substituted);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
      }
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length];
}
