#!/usr/bin/env python3
"""Writes small SentencePiece models and what the library (sentencepiece 0.1.97) makes of texts: make_sentencepiece.py OUT CORPUS.txt"""
import gzip
import json
import pathlib
import sys

import sentencepiece as spm

TEXTS = ["", " ", "In the beginning God created the heaven and the earth.", "  two  blanks   and three ", "tab\there", "naïve café ÅÄÖ",
         "Привет, мир", "日本語 text", "१२३ नमस्ते", "ﬁne ½ ＦＵＬＬ ㎏", "emoji 🙂🙂 end", "<s> is </s> text? no: <unk>", "a", "unbelievablenesses",
         "the the the", "x" * 40, "… — “quoted” ‘text’", "line\u2028separator", "e\u0301 combined", "0 1 22 333 4444", "ﷺ", "user<sep>defined"]


def write(folder, name, corpus, **options):
    spm.SentencePieceTrainer.train(input=corpus, model_prefix=str(folder / name), minloglevel=2, **options)
    (folder / f"{name}.vocab").unlink()
    model = spm.SentencePieceProcessor(model_file=str(folder / f"{name}.model"))
    special = {model.id_to_piece(i) for i in range(model.get_piece_size()) if model.is_control(i) or model.is_unknown(i)}
    cases = []
    for text in TEXTS:
        if any(piece in text for piece in special):
            continue  # special tokens are found in texts here, not by the library
        ids = model.encode(text)
        cases.append({"text": text, "ids": ids, "decoded": model.decode(ids)})
    (folder / f"{name}.json").write_text(json.dumps({"library": "sentencepiece 0.1.97", "cases": cases}, ensure_ascii=False))


def main():
    folder, corpus = pathlib.Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, "unigram", corpus, vocab_size=320, model_type="unigram", normalization_rule_name="nmt_nfkc", user_defined_symbols=["<sep>"])
    write(folder, "unigram-bytes", corpus, vocab_size=620, model_type="unigram", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
    write(folder, "bpe-bytes", corpus, vocab_size=620, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
    write(folder, "bpe", corpus, vocab_size=400, model_type="bpe", normalization_rule_name="identity", add_dummy_prefix=False)
    for file in list(folder.glob("*.model")) + list(folder.glob("*.json")):
        (folder / (file.name + ".gz")).write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))
        file.unlink()


main()
