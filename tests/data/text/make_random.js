// Tokenizers put together at random from every kind of step, with what the tokenizers library gives for many texts: node make_random.js OUT [SEED [COUNT]].
// Left out is what version 0.23.2 does oddly: byte fallback of pieces with a prefix or suffix (the bytes of the mark come with each), the numbers of words and the shares of two texts when it
// stops before a limit, and added tokens that decode to what the normaliser makes of them; scores are exact in binary, since it reads others to the last bit but one. Needs `npm install tokenizers`. The folders random-N were chosen out of 170 of them so that every step is there; $ORRERY_TOKENIZER_CASES=OUT runs the test over more.
const fs = require("fs"), path = require("path"), zlib = require("zlib");
const { Tokenizer } = require("tokenizers");
const out = process.argv[2], seed = Number(process.argv[3] || 1), count = Number(process.argv[4] || 40);
let state = BigInt(seed) * 2654435761n + 12345n;
const random = n => { state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn; return Number((state >> 33n) % BigInt(n)); };
const pick = list => list[random(list.length)];
const chance = (a, b) => random(b) < a;

const words = ["the", "he", "hello", "world", "don't", "I'm", "we've", "re", "ing", "run", "running", "naïve", "café", "Straße", "İstanbul", "ΣΑΣ", "κόσμε", "мир", "ещё", "你好", "世界", "こんにちは", "カタカナ", "ー", "안녕", "नमस्ते", "दुनिया", "விரைவான", "সুখ", "สวัสดี", "مرحبا", "العالم", "שלום", "👋🏽", "👨‍👩‍👧", "🇬🇷", "e\u0301", "a\u030a", "x\u0323\u0302\u0301", "\ufb01", "①", "½", "ＡＢ", "ﷺ", "ǅ", "\u1e9b\u0323", "각", "\u1100\u1161\u11a8", "12", "3.14", "1,000", "x2y", "_a_", "a-b", "...", "!?", "“q”", "—", "…", "$5", "<s>", "</s>", "[MASK]", "<mask>", "<extra>", "NEW", "new", "snake_case", "CamelCase", "\u00ad", "\u200b", "\u200d", "\ufeff", "\ufffd", "\u0000", "\u0001", "\u007f", "\u0085", "\u2028", "##x", "▁", "▁x", "Ġa", "|", "</w>", "<0x41>"];
const blanks = [" ", " ", " ", " ", "", "  ", "   ", "\n", "\t", "\r\n", "\u00a0", "\u3000", " \n ", "\n\n"];
const text = () => { let s = chance(1, 4) ? pick(blanks) : ""; const n = random(9); for (let i = 0; i < n; ++i) s += pick(words) + pick(blanks); return s; };

const normalizer = () => pick([
  () => ({ type: "NFC" }), () => ({ type: "NFD" }), () => ({ type: "NFKC" }), () => ({ type: "NFKD" }), () => ({ type: "Lowercase" }), () => ({ type: "StripAccents" }), () => ({ type: "Nmt" }),
  () => ({ type: "Strip", strip_left: chance(1, 2), strip_right: chance(1, 2) }),
  () => ({ type: "BertNormalizer", clean_text: chance(1, 2), handle_chinese_chars: chance(1, 2), strip_accents: pick([null, true, false]), lowercase: chance(1, 2) }),
  () => ({ type: "Replace", pattern: pick([{ String: "e" }, { String: "  " }, { Regex: "\\s+" }, { Regex: "[aeiou]" }, { Regex: "^h" }, { Regex: "\\p{P}" }]), content: pick(["", " ", "x", "▁", "yz"]) }),
  () => ({ type: "Prepend", prepend: pick(["▁", "ab", " "]) }),
])();
const behavior = () => pick(["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]);
const gpt4 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const cl100k = "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
const qwen = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const o200k = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const preTokenizer = () => pick([
  () => ({ type: "BertPreTokenizer" }), () => ({ type: "Whitespace" }), () => ({ type: "WhitespaceSplit" }), () => ({ type: "Punctuation", behavior: behavior() }), () => ({ type: "Digits", individual_digits: chance(1, 2) }),
  () => ({ type: "Metaspace", replacement: pick(["▁", "_"]), prepend_scheme: pick(["always", "first", "never"]), split: chance(2, 3) }),
  () => ({ type: "Split", pattern: pick([{ String: " " }, { String: "l" }, { Regex: "\\s+" }, { Regex: gpt4 }, { Regex: cl100k }, { Regex: qwen }, { Regex: o200k }, { Regex: "\\d|\\p{Han}" }, { Regex: "[^a-z]*" }, { Regex: "$" }, { Regex: "(?<=l)" }]), behavior: behavior(), invert: chance(1, 3) }),
  () => ({ type: "CharDelimiterSplit", delimiter: pick([" ", "e", "▁"]) }), () => ({ type: "UnicodeScripts" }), () => ({ type: "FixedLength", length: 1 + random(5) }),
])();
const byteLevel = () => ({ type: "ByteLevel", add_prefix_space: chance(1, 2), trim_offsets: true, use_regex: chance(3, 4) });
const sequence = (make, key, most) => { const n = random(most + 1); if (n === 0) return null; if (n === 1) return make(); return { type: "Sequence", [key]: Array.from({ length: n }, make) }; };

const byteCharacters = (() => { const map = []; let next = 256; for (let b = 0; b < 256; ++b) map.push(String.fromCodePoint((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : next++)); return map; })();
const asBytes = s => [...Buffer.from(s)].map(b => byteCharacters[b]).join("");

function pieces(bytes) {
  const list = new Set(["[UNK]", "<s>", "</s>"]);
  const corpus = words.map(w => bytes ? asBytes(" " + w) : w);
  if (bytes) byteCharacters.forEach(c => list.add(c)); else for (const w of words) for (const c of w) if (chance(5, 6)) list.add(c);
  if (!bytes) ["▁", " ", "_"].forEach(c => list.add(c));
  for (let i = 0; i < 150; ++i) { const w = [...pick(corpus)]; const a = random(w.length), n = 1 + random(4); list.add(w.slice(a, a + n).join("")); }
  return [...list].filter(p => p.length);
}
const vocab = list => Object.fromEntries(list.map((p, i) => [p, i]));
function bpe(bytes) {
  const prefix = !bytes && chance(1, 4) ? "##" : null, suffix = !bytes && chance(1, 4) ? "</w>" : null, fallback = !bytes && !prefix && !suffix && chance(1, 2);
  const list = new Set(["[UNK]", "<s>", "</s>"]);
  const add = p => { list.add(p); return p; };
  const merges = [];
  if (bytes) byteCharacters.forEach(add);
  if (fallback) for (let b = 0; b < 256; ++b) add("<0x" + b.toString(16).toUpperCase().padStart(2, "0") + ">");
  const seen = new Set();
  for (let round = 0; round < 60; ++round) {
    const w = [...(bytes ? asBytes(pick([" ", ""]) + pick(words)) : pick(words) + (chance(1, 3) ? pick(words) : ""))];
    let symbols = w.map((c, i) => (i > 0 && prefix ? prefix : "") + c + (i === w.length - 1 && suffix ? suffix : ""));
    symbols.forEach(s => { if (bytes || chance(7, 8)) add(s); });
    for (let step = 0; step < 3 && symbols.length > 1; ++step) {
      const i = random(symbols.length - 1), a = symbols[i], b = symbols[i + 1], m = a + (prefix ? b.slice(prefix.length) : b);
      if (!list.has(a) || !list.has(b)) continue;
      add(m); if (!seen.has(a + " " + b) && !a.includes(" ") && !b.includes(" ")) { seen.add(a + " " + b); merges.push([a, b]); }
      symbols.splice(i, 2, m);
    }
  }
  return { type: "BPE", dropout: null, unk_token: chance(4, 5) || !bytes ? "[UNK]" : null, continuing_subword_prefix: prefix, end_of_word_suffix: suffix, fuse_unk: chance(1, 2), byte_fallback: fallback, ignore_merges: chance(1, 3), vocab: vocab([...list]), merges: chance(1, 2) ? merges : merges.map(m => m.join(" ")) };
}
function unigram() {
  const list = pieces(false); const fallback = chance(1, 2);
  if (fallback) for (let b = 0; b < 256; ++b) list.push("<0x" + b.toString(16).toUpperCase().padStart(2, "0") + ">");
  return { type: "Unigram", unk_id: 0, vocab: list.map(p => [p, -(1 + random(640) / 64)]), byte_fallback: fallback };
}
const wordPiece = () => { const list = pieces(false); return { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: pick([5, 100]), vocab: vocab([...new Set(list.concat(list.slice(3).map(p => "##" + p)))]) }; };
const wordLevel = () => ({ type: "WordLevel", vocab: vocab([...new Set(["[UNK]", "<s>", "</s>", ...words.slice(0, 60).filter(() => chance(3, 4))])]), unk_token: "[UNK]" });

function decoder(bytes) {
  return pick([
    () => null, () => ({ type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true }), () => ({ type: "WordPiece", prefix: "##", cleanup: chance(1, 2) }),
    () => ({ type: "Metaspace", replacement: "▁", prepend_scheme: pick(["always", "never", "first"]), split: true }), () => ({ type: "BPEDecoder", suffix: "</w>" }),
    () => ({ type: "CTC", pad_token: "<s>", word_delimiter_token: "|", cleanup: chance(1, 2) }),
    () => ({ type: "Sequence", decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }, { type: "Strip", content: " ", start: random(3), stop: 0 }] }),
    () => ({ type: "Sequence", decoders: [{ type: "Replace", pattern: { Regex: "[aeiou]" }, content: "*" }, { type: "Strip", content: "l", start: 0, stop: 1 }] }),
  ])();
}
function post() {
  const item = (id, type_id) => ({ SpecialToken: { id, type_id } }), part = (id, type_id) => ({ Sequence: { id, type_id } });
  const special = (id, n) => ({ id, ids: [n], tokens: [id] });
  return pick([
    () => null, () => ({ type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 1] }), () => ({ type: "RobertaProcessing", sep: ["</s>", 2], cls: ["<s>", 1], trim_offsets: chance(1, 2), add_prefix_space: chance(1, 2) }),
    () => ({ type: "ByteLevel", add_prefix_space: chance(1, 2), trim_offsets: chance(2, 3), use_regex: true }),
    () => ({ type: "TemplateProcessing", single: [item("<s>", 0), part("A", 0), item("two", 1)], pair: [part("B", 1), item("</s>", 1), part("A", 0)], special_tokens: { "<s>": special("<s>", 1), "</s>": special("</s>", 2), two: { id: "two", ids: [1, 2], tokens: ["<s>", "</s>"] } } }),
    () => ({ type: "Sequence", processors: [{ type: "ByteLevel", add_prefix_space: chance(1, 2), trim_offsets: true, use_regex: true }, { type: "TemplateProcessing", single: [item("<s>", 0), part("A", 0)], pair: [item("<s>", 0), part("A", 0), part("B", 1)], special_tokens: { "<s>": special("<s>", 1) } }] }),
  ])();
}
function tokenizer() {
  const kind = pick(["bytes", "bpe", "unigram", "wordpiece", "words"]);
  const bytes = kind === "bytes";
  const model = bytes ? bpe(true) : kind === "bpe" ? bpe(false) : kind === "unigram" ? unigram() : kind === "wordpiece" ? wordPiece() : wordLevel();
  let pre = sequence(preTokenizer, "pretokenizers", 2);
  if (bytes) pre = pre && chance(1, 2) ? { type: "Sequence", pretokenizers: [pre, byteLevel()] } : byteLevel();
  const size = Array.isArray(model.vocab) ? model.vocab.length : Object.keys(model.vocab).length;
  const added = [["[UNK]", 0, true], ["<s>", 1, true], ["</s>", 2, true]].map(([content, id, special]) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }));
  ["<mask>", "<extra>", "new", "ne", "NEW thing"].forEach((content, i) => { if (chance(1, 2) && !(content in model.vocab) && !(Array.isArray(model.vocab) && model.vocab.some(p => p[0] === content))) added.push({ id: size + added.length - 3, content, single_word: chance(1, 3), lstrip: chance(1, 3), rstrip: chance(1, 3), normalized: chance(1, 2), special: chance(1, 2) }); });
  return {
    version: "1.0", truncation: chance(1, 5) ? { direction: "Right", max_length: 8 + random(8), strategy: "LongestFirst", stride: 0 } : null,
    padding: chance(1, 5) ? { strategy: pick(["BatchLongest", { Fixed: 12 }]), direction: pick(["Right", "Left"]), pad_to_multiple_of: pick([null, 8]), pad_id: 0, pad_type_id: random(2), pad_token: "[UNK]" } : null,
    added_tokens: added, normalizer: sequence(normalizer, "normalizers", 3), pre_tokenizer: pre, post_processor: post(), decoder: decoder(bytes), model,
  };
}

async function main() {
  const made = [];
  for (let i = 0; made.length < count && i < count * 5; ++i) {
    const json = JSON.stringify(tokenizer());
    // Where this version gives back an added token as the normaliser writes it, nobody would call that decoding.
    let real;
    try { real = Tokenizer.fromString(json); } catch (error) { console.log("refused:", String(error).slice(0, 200)); continue; }
    const normaliser = real.getNormalizer();
    if (normaliser && JSON.parse(json).added_tokens.some(token => token.normalized && normaliser.normalizeString(token.content) !== token.content)) continue;
    const cases = [];
    for (let j = 0; j < 60; ++j) {
      const one = { text: text(), add_special: chance(1, 2) };
      if (chance(1, 5) && !JSON.parse(json).truncation) one.pair = text();
      let e;
      try { e = await real.encode(one.text, one.pair === undefined ? null : one.pair, { addSpecialTokens: one.add_special }); } catch (error) { continue; }
      const ids = e.getIds();
      cases.push({ ...one, ids, tokens: e.getTokens(), offsets: e.getOffsets(), word_ids: e.getWordIds().map(w => w === undefined ? null : w), type_ids: e.getTypeIds(), special: e.getSpecialTokensMask(), attention: e.getAttentionMask(), decoded: await real.decode(ids, false), decoded_plain: await real.decode(ids, true) });
    }
    made.push({ json, cases });
    const folder = path.join(out, "random-" + seed + "-" + String(made.length).padStart(3, "0"));
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, "tokenizer.json.gz"), zlib.gzipSync(json, { level: 9 }));
    fs.writeFileSync(path.join(folder, "cases.json.gz"), zlib.gzipSync(JSON.stringify({ library: "tokenizers " + require("tokenizers/package.json").version, cases }), { level: 9 }));
  }
  console.log(made.length, "tokenizers");
}
main();
