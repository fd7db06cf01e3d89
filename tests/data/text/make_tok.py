"""Trains small tokenizers by the real tokenizers library on a short corpus of many scripts, and writes what they give for many texts: OUT/NAME/{tokenizer.json, cases.json}.
cases.json: [{text, pair?, add_special, ids, tokens, offsets (characters), word_ids, type_ids, special, decoded, decoded_plain}]"""
import json, os, sys, traceback
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = sys.argv[1]
CORPUS = open(sys.argv[2], encoding="utf-8").read().split("\n")[:3000]
CORPUS += ["Η γρήγορη καφέ αλεπού πηδά πάνω από τον τεμπέλη σκύλο. Καλημέρα κόσμε, τι κάνεις σήμερα;", "الثعلب البني السريع يقفز فوق الكلب الكسول. مرحبا بالعالم، كيف حالك اليوم؟", "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है। नमस्ते दुनिया",
           "দ্রুত বাদামী শিয়াল অলস কুকুরের উপর লাফ দেয়। ওহে বিশ্ব", "விரைவான பழுப்பு நரி சோம்பேறி நாயின் மீது பாய்கிறது", "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ สวัสดีชาวโลก", "敏捷的棕色狐狸跳过了懒狗。你好，世界！今天天气很好。", "素早い茶色の狐がのろまな犬を飛び越える。こんにちは世界",
           "빠른 갈색 여우가 게으른 개를 뛰어넘습니다. 안녕하세요 세계", "Съешь же ещё этих мягких французских булок, да выпей чаю.", "Zażółć gęślą jaźń, naïve café, Ünïcödé façade Straße ß", "wesh rak khouya labas 3lik, nchallah ghodwa nrou7ou l'bhar"] * 8
TEXTS = ["", " ", "Hello, world!", "hello   world", "  leading and trailing  ", "The quick brown fox jumps over the lazy dog.", "line one\nline two\r\n\ttabbed\n\n\nthree", "Don't you'll we've I'M can't", "1234567890 3.14159 1,000,000 x2y3", "naïve café Ünïcödé façade Straße",
         "e\u0301le\u0300ve A\u030angstro\u0308m \ufb01ne \u2460 \u00bd \uff21\uff22\uff23", "Καλημέρα κόσμε", "مرحبا بالعالم، كيف حالك؟", "नमस्ते दुनिया कूदती है", "ওহে বিশ্ব", "விரைவான நரி", "สวัสดีชาวโลก", "你好，世界！", "こんにちは世界", "안녕하세요 세계", "Съешь же ещё",
         "👋🏽 hi 👨‍👩‍👧‍👦 family 🇬🇷", "mixed 你好 world नमस्ते", "a\u200bb\u00a0c\u3000d\ufeffe", "tab\tand\u0000nul\u0001control", "[MASK] is <mask> and <s> </s> [SEP] <unk> <|endoftext|> here", "<|endoftext|>start<|endoftext|>", "UPPER lower MiXeD CamelCaseWord snake_case_word", "def f(x):\n    return x**2  # comment\n",
         "http://example.org/?q=1&r=a%20b e-mail@x.yz", "...!?;:()[]{}\"'`~@#$%^&*-_=+\\|/<>", "supercalifragilisticexpialidocious antidisestablishmentarianism", "a", "É", "ﷺ ㎏ ℌ ſ İ ı ǅ", "wesh rak khouya 3lik", "\U0001f600\U0010fffd\ue000", "word" * 40, "don’t “quoted” — dash… ellipsis", "x\u0301\u0302\u0303y"]
PAIRS = [("Hello there", "General café"), ("你好", "[SEP] world"), ("", "b")]


def entry(tok, text, pair, special):
    e = tok.encode(text, pair, add_special_tokens=special) if pair is not None else tok.encode(text, add_special_tokens=special)
    out = {"text": text, "add_special": special, "ids": e.ids, "tokens": e.tokens, "offsets": [list(o) for o in e.offsets], "word_ids": e.word_ids, "type_ids": e.type_ids, "special": e.special_tokens_mask,
           "attention": e.attention_mask, "decoded": tok.decode(e.ids, skip_special_tokens=False), "decoded_plain": tok.decode(e.ids, skip_special_tokens=True)}
    if pair is not None:
        out["pair"] = pair
    return out


def write(name, tok, texts=TEXTS):
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    tok.save(os.path.join(folder, "tokenizer.json"))
    tok = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    cases = [entry(tok, t, None, s) for t in texts for s in (True, False)] + [entry(tok, a, b, True) for a, b in PAIRS]
    json.dump({"library": "tokenizers " + tokenizers.__version__, "cases": cases}, open(os.path.join(folder, "cases.json"), "w"), ensure_ascii=True, separators=(",", ":"))
    print("ok", name, tok.get_vocab_size(), sum(len(c["ids"]) for c in cases))


def make(name):
    def run(f):
        try:
            write(name, f())
        except Exception:
            print("FAILED", name)
            traceback.print_exc()
    return run


def train(tok, trainer):
    tok.train_from_iterator(CORPUS, trainer)
    return tok


@make("gpt2")
def _():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=True)
    return train(tok, trainers.BpeTrainer(vocab_size=700, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))


@make("roberta")
def _():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok = train(tok, trainers.BpeTrainer(vocab_size=600, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tok.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return tok


@make("gpt4-like")
def _():
    tok = Tokenizer(models.BPE(ignore_merges=True))
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok = train(tok, trainers.BpeTrainer(vocab_size=700, special_tokens=["<|begin_of_text|>", "<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", special_tokens=[("<|begin_of_text|>", 0)])])
    return tok


def bytes_vocab():
    return ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]


@make("llama")
def _():
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok = train(tok, trainers.BpeTrainer(vocab_size=700, special_tokens=bytes_vocab(), limit_alphabet=80, show_progress=False))
    data = json.loads(tok.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if t["content"] in ("<unk>", "<s>", "</s>")]
    tok = Tokenizer.from_str(json.dumps(data))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tok


@make("llama-metaspace")
def _():
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=False)
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok = train(tok, trainers.BpeTrainer(vocab_size=600, special_tokens=bytes_vocab(), limit_alphabet=60, show_progress=False))
    data = json.loads(tok.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if t["content"] in ("<unk>", "<s>", "</s>")]
    return Tokenizer.from_str(json.dumps(data))


for cased in (True, False):
    @make("bert-cased" if cased else "bert-uncased")
    def _():
        tok = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
        tok.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=not cased)
        tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tok.decoder = decoders.WordPiece(prefix="##", cleanup=True)
        tok = train(tok, trainers.WordPieceTrainer(vocab_size=700, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], limit_alphabet=250, show_progress=False))
        tok.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        folder = os.path.join(OUT, "bert-cased" if cased else "bert-uncased")
        os.makedirs(folder, exist_ok=True)
        vocab = sorted(tok.get_vocab().items(), key=lambda kv: kv[1])
        open(os.path.join(folder, "vocab.txt"), "w").write("".join(k + "\n" for k, _ in vocab))
        return tok


@make("t5-unigram")
def _():
    tok = Tokenizer(models.Unigram())
    tok.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tok.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tok = train(tok, trainers.UnigramTrainer(vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    tok.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tok


@make("xlmr-like")
def _():
    tok = Tokenizer(models.Unigram())
    tok.normalizer = normalizers.NFKC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")])
    tok.decoder = decoders.Metaspace()
    tok = train(tok, trainers.UnigramTrainer(vocab_size=450, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tok


@make("clip-like")
def _():
    tok = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tok.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tok.decoder = decoders.ByteLevel()
    tok = train(tok, trainers.BpeTrainer(vocab_size=700, special_tokens=["<|startoftext|>", "<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), end_of_word_suffix="</w>", show_progress=False))
    tok.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False, add_prefix_space=False)
    return tok


@make("words")
def _():
    tok = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tok.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation()])
    return train(tok, trainers.WordLevelTrainer(vocab_size=400, special_tokens=["[UNK]", "[PAD]"], show_progress=False))


@make("scripts")
def _():
    tok = Tokenizer(models.BPE(unk_token="[UNK]"))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.UnicodeScripts(), pre_tokenizers.CharDelimiterSplit(" ")])
    tok = train(tok, trainers.BpeTrainer(vocab_size=500, special_tokens=["[UNK]"], show_progress=False))
    tok.enable_truncation(12)
    tok.enable_padding(pad_id=0, pad_token="[UNK]", length=6)
    return tok


for behaviour in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
    @make("split-" + behaviour)
    def _():
        tok = Tokenizer(models.WordLevel({"[UNK]": 0, "Hello": 1, "world": 2, ",": 3, " ": 4}, unk_token="[UNK]"))
        tok.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s,.!]"), behaviour)
        return tok


@make("charsmap")
def _():
    import sentencepiece as spm
    folder = os.path.join(OUT, "charsmap")
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, "corpus.tmp"), "w").write("\n".join(c for c in CORPUS if c.strip()))
    spm.SentencePieceTrainer.train(input=os.path.join(folder, "corpus.tmp"), model_prefix=os.path.join(folder, "spiece"), vocab_size=500, model_type="unigram", normalization_rule_name="nmt_nfkc", byte_fallback=False, minloglevel=2, hard_vocab_limit=False)
    os.remove(os.path.join(folder, "corpus.tmp"))
    from sentencepiece import sentencepiece_model_pb2 as pb
    model = pb.ModelProto()
    model.ParseFromString(open(os.path.join(folder, "spiece.model"), "rb").read())
    tok = Tokenizer(models.Unigram([(p.piece, p.score) for p in model.pieces], unk_id=0))
    tok.normalizer = normalizers.Sequence([normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tok.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    return tok
