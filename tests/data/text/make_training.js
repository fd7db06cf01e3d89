// What the tokenizers library's own trainer makes of words in a file: node train_cases.js WORDS.txt OUT.json
const fs = require("fs"); const t = require("tokenizers");
const tok = new t.Tokenizer(t.BPE.empty());
tok.setPreTokenizer(t.whitespaceSplitPreTokenizer());
tok.train([process.argv[2]]);
tok.save("trained.json", false);
const m = JSON.parse(fs.readFileSync("trained.json")).model;
fs.writeFileSync(process.argv[3], JSON.stringify({ library: "tokenizers 0.23.2", text: fs.readFileSync(process.argv[2], "utf8"), vocab: Object.entries(m.vocab).sort((a, b) => a[1] - b[1]).map(e => e[0]), merges: m.merges }));
console.log(m.merges.length, Object.keys(m.vocab).length);
