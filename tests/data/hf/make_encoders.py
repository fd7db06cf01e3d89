"""Writes tiny checkpoints of encoders, encoder-decoders and vision models and what they compute, from the definitions: OUT/NAME/{config.json, expect.safetensors}. Needs NumPy, and torch for
its random numbers alone. Weights are drawn as make_hf.py draws them, so no file of them is needed. Everything is computed in float64, one head and one window at a time. Sources: the model's own paper (see each
function); what papers leave open (names, order of parts, epsilon) is as the released checkpoints have it."""
import json, math, os, sys

import numpy as np

import make_definitions as common
from make_definitions import Weights, gelu, gelu_tanh, save, silu, softmax

OUT = sys.argv[1]
V, D, HEADS, HIDDEN = 97, 24, 3, 48
SIZE = D // HEADS
IDS = np.array([[5, 17, 3, 44, 96, 8, 21], [9, 2, 60, 60, 13, 77, 30]])
MASK = np.array([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])
TYPES = np.array([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0]])
ANSWER = np.array([[2, 4, 9, 11, 30], [2, 7, 7, 50, 1]])
PICTURE = np.random.RandomState(3).uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
ACTIVATIONS = {"gelu": gelu, "gelu_new": gelu_tanh, "relu": lambda x: np.maximum(x, 0), "silu": silu, "swish": silu}


def heads(x, count=HEADS):
    return np.split(x, count, -1)


def attention(q, k, v, scale=None, bias=None, hidden=None):
    """Lists of heads [position, feature]. `bias` [head][query, key] is added to the scores; keys where `hidden` is true are not looked at, of shape [key] or [query, key]."""
    out = []
    for h in range(len(q)):
        scores = q[h] @ k[h].T * (1 / math.sqrt(q[h].shape[-1]) if scale is None else scale)
        if bias is not None:
            scores = scores + bias[h]
        if hidden is not None:
            scores = np.where(hidden, -np.inf, scores)
        out.append(softmax(scores) @ v[h])
    return np.concatenate(out, -1)


def write(name, config, w, inputs, run, written=0):
    """`run` gives the outputs of one row of the inputs, by name. `written`: so many tokens of an answer to the first source, each the most probable one, behind the start token."""
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    rows = [run(*[each[i] for each in inputs.values()]) for i in range(len(next(iter(inputs.values()))))]
    tensors = {key: np.array([row[key] for row in rows]).astype(np.float32) for key in rows[0]}
    if written:
        source, answer = next(iter(inputs.values()))[0], [config["decoder_start_token_id"]]
        for _ in range(written):
            logits = run(source, np.array(answer))["logits"][-1]
            best, second = np.argsort(-logits)[:2]
            assert logits[best] - logits[second] > 1e-3, "rounding would decide"
            answer.append(int(best))
        tensors["generated"] = np.array([answer], np.int64)
    tensors.update({key: value if value.dtype == np.float32 else value.astype(np.int64) for key, value in inputs.items()})
    count = sum(t.size for key, t in w.items() if key not in w.buffers)
    save(os.path.join(folder, "expect.safetensors"), tensors, {"parameters": str(count), "class": config["architectures"][0], "written by": "make_encoders.py"})
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")


class Drawn(Weights):
    """Weights of these families: buffers are drawn behind the parameters, as the tests draw them."""
    def __init__(self):
        super().__init__()
        self.buffers = {}

    def bias_norm(self, name, size=D):
        self.norm(name, size, bias=True)

    def full(self, name, n_in, n_out):
        self.linear(name, n_in, n_out, True)

    def constant(self, name, size, start):
        self[name] = ((size,), start)

    def draw(self):
        import torch
        generator = torch.Generator().manual_seed(7)
        for name in sorted(self):
            shape, start = self[name]
            noise = torch.randn(shape, generator=generator)
            self[name] = (start + 0.1 * noise if len(shape) <= 1 else noise * (0.5 / max(1.0, noise[0].numel() ** 0.5)) + 0.02 * noise).numpy()
        for name, shape in sorted(self.buffers.items()):
            drawn = 1 + 0.3 * torch.rand(shape, generator=generator) if name.endswith("running_var") else 0.1 * torch.randn(shape, generator=generator)
            self[name] = drawn.numpy()


def states(outputs, all_states):
    outputs.update({f"hidden_states.{i}": s for i, s in enumerate(all_states)})
    return outputs


def bert_layer(w, layer, x, hidden, epsilon, activation=gelu, names=("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm"), bias=None):
    """Devlin et al. (2018), arXiv:1810.04805, section 3: a norm after each branch."""
    q, k, v = (heads(w.apply(layer + n, x)) for n in names[:3])
    x = w.layer_norm(layer + names[4], x + w.apply(layer + names[3], attention(q, k, v, hidden=hidden, bias=bias)), epsilon)
    return w.layer_norm(layer + "output.LayerNorm", x + w.apply(layer + "output.dense", activation(w.apply(layer + "intermediate.dense", x))), epsilon)


def bert_layer_weights(w, layer, names=("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm")):
    for n in names[:4]:
        w.full(layer + n, D, D)
    w.bias_norm(layer + names[4])
    w.full(layer + "intermediate.dense", D, HIDDEN)
    w.full(layer + "output.dense", HIDDEN, D)
    w.bias_norm(layer + "output.LayerNorm")


def albert(name, head, groups, inner, layers):
    """Lan et al. (2019), "ALBERT: A Lite BERT", arXiv:1909.11942, section 3.1: small embeddings, one set of weights for all layers of a group."""
    w, e, epsilon = Drawn(), 16, 1e-12
    p = "" if head == "Model" else "albert."
    for n, rows in (("word", V), ("position", 40), ("token_type", 2)):
        w.matrix(p + f"embeddings.{n}_embeddings.weight", rows, e)
    w.bias_norm(p + "embeddings.LayerNorm", e)
    w.full(p + "encoder.embedding_hidden_mapping_in", e, D)
    for g in range(groups):
        for i in range(inner):
            layer = p + f"encoder.albert_layer_groups.{g}.albert_layers.{i}."
            for n in ("query", "key", "value", "dense"):
                w.full(layer + "attention." + n, D, D)
            w.bias_norm(layer + "attention.LayerNorm")
            w.bias_norm(layer + "full_layer_layer_norm")
            w.full(layer + "ffn", D, HIDDEN)
            w.full(layer + "ffn_output", HIDDEN, D)
    if head in ("Model", "ForSequenceClassification"):
        w.full(p + "pooler", D, D)
    if head == "ForMaskedLM":
        w.full("predictions.dense", D, e)
        w.bias_norm("predictions.LayerNorm", e)
        w["predictions.bias"] = ((V,), 0.0)
    if head == "ForSequenceClassification":
        w.full("classifier", D, 3)
    w.draw()

    def run(ids, mask=None, types=None):
        hidden = None if mask is None else mask == 0
        x = w.at(p + "embeddings.word_embeddings.weight")[ids] + w.at(p + "embeddings.position_embeddings.weight")[: len(ids)]
        x = x + w.at(p + "embeddings.token_type_embeddings.weight")[np.zeros_like(ids) if types is None else types]
        x = w.apply(p + "encoder.embedding_hidden_mapping_in", w.layer_norm(p + "embeddings.LayerNorm", x, epsilon))
        seen = [x]
        for i in range(layers):
            for j in range(inner):
                layer = p + f"encoder.albert_layer_groups.{i * groups // layers}.albert_layers.{j}."
                q, k, v = (heads(w.apply(layer + "attention." + n, x)) for n in ("query", "key", "value"))
                x = w.layer_norm(layer + "attention.LayerNorm", x + w.apply(layer + "attention.dense", attention(q, k, v, hidden=hidden)), epsilon)
                x = w.layer_norm(layer + "full_layer_layer_norm", x + w.apply(layer + "ffn_output", gelu_tanh(w.apply(layer + "ffn", x))), epsilon)
            seen.append(x)
        keep = (lambda o: states(o, seen)) if layers * inner == 2 else (lambda o: o)
        if head == "ForMaskedLM":
            y = w.layer_norm("predictions.LayerNorm", gelu_tanh(w.apply("predictions.dense", x)), epsilon)
            return keep({"logits": y @ w.at(p + "embeddings.word_embeddings.weight").T + w.at("predictions.bias")})
        pooled = np.tanh(w.apply(p + "pooler", x[0]))
        return keep({"last_hidden_state": x, "pooler_output": pooled} if head == "Model" else {"logits": w.apply("classifier", pooled)})

    config = {"architectures": ["Albert" + head], "model_type": "albert", "vocab_size": V, "embedding_size": e, "hidden_size": D, "num_hidden_layers": layers, "num_hidden_groups": groups,
              "inner_group_num": inner, "num_attention_heads": HEADS, "intermediate_size": HIDDEN, "hidden_act": "gelu_new", "max_position_embeddings": 40, "type_vocab_size": 2,
              "layer_norm_eps": epsilon, "pad_token_id": 0, "num_labels": 3}
    inputs = {"input_ids": IDS} if head == "ForMaskedLM" else {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": TYPES}
    write(name, config, w, inputs, run)


def electra(name, head):
    """Clark et al. (2020), "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators", arXiv:2003.10555, sections 2 and 3.1 (small embeddings, projected)."""
    w, e, epsilon = Drawn(), 16, 1e-12
    p = "" if head == "Model" else "electra."
    for n, rows in (("word", V), ("position", 40), ("token_type", 2)):
        w.matrix(p + f"embeddings.{n}_embeddings.weight", rows, e)
    w.bias_norm(p + "embeddings.LayerNorm", e)
    w.full(p + "embeddings_project", e, D)
    for i in range(2):
        bert_layer_weights(w, p + f"encoder.layer.{i}.")
    if head == "ForMaskedLM":
        w.full("generator_predictions.dense", D, e)
        w.bias_norm("generator_predictions.LayerNorm", e)
        w["generator_lm_head.bias"] = ((V,), 0.0)
    if head == "ForPreTraining":
        w.full("discriminator_predictions.dense", D, D)
        w.full("discriminator_predictions.dense_prediction", D, 1)
    if head == "ForSequenceClassification":
        w.full("classifier.dense", D, D)
        w.full("classifier.out_proj", D, 3)
    w.draw()

    def run(ids, mask=None, types=None):
        x = w.at(p + "embeddings.word_embeddings.weight")[ids] + w.at(p + "embeddings.position_embeddings.weight")[: len(ids)]
        x = x + w.at(p + "embeddings.token_type_embeddings.weight")[np.zeros_like(ids) if types is None else types]
        x = w.apply(p + "embeddings_project", w.layer_norm(p + "embeddings.LayerNorm", x, epsilon))
        seen = [x]
        for i in range(2):
            x = bert_layer(w, p + f"encoder.layer.{i}.", x, None if mask is None else mask == 0, epsilon)
            seen.append(x)
        if head == "ForMaskedLM":
            y = w.layer_norm("generator_predictions.LayerNorm", gelu(w.apply("generator_predictions.dense", x)), epsilon)
            return states({"logits": y @ w.at(p + "embeddings.word_embeddings.weight").T + w.at("generator_lm_head.bias")}, seen)
        if head == "ForPreTraining":
            return states({"logits": w.apply("discriminator_predictions.dense_prediction", gelu(w.apply("discriminator_predictions.dense", x)))[:, 0]}, seen)
        if head == "ForSequenceClassification":
            return {"logits": w.apply("classifier.out_proj", gelu(w.apply("classifier.dense", x[0])))}
        return states({"last_hidden_state": x}, seen)

    config = {"architectures": ["Electra" + head], "model_type": "electra", "vocab_size": V, "embedding_size": e, "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": HEADS,
              "intermediate_size": HIDDEN, "hidden_act": "gelu", "max_position_embeddings": 40, "type_vocab_size": 2, "layer_norm_eps": epsilon, "pad_token_id": 0, "num_labels": 3}
    write(name, config, w, {"input_ids": IDS} if head == "ForMaskedLM" else {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": TYPES}, run)


def bucket_of_t5(distance, buckets, most):
    """Raffel et al. (2019), arXiv:1910.10683, section 2.1: half of the buckets for each direction, exact ones first, then logarithmic. distance = key - query."""
    half = buckets // 2
    exact, far = half // 2, abs(distance)
    if far >= exact:
        far = min(exact + int(math.log(far / exact) / math.log(most / exact) * (half - exact)), half - 1)
    return far + (half if distance > 0 else 0)


def mpnet(name, head):
    """Song et al. (2020), "MPNet: Masked and Permuted Pre-training for Language Understanding", arXiv:2004.09297: BERT's encoder with relative position biases that all layers share."""
    w, epsilon, padding = Drawn(), 1e-5, 1
    p = "" if head == "Model" else "mpnet."
    names = ("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o", "attention.LayerNorm")
    w.matrix(p + "embeddings.word_embeddings.weight", V, D)
    w.matrix(p + "embeddings.position_embeddings.weight", 40, D)
    w.bias_norm(p + "embeddings.LayerNorm")
    w.matrix(p + "encoder.relative_attention_bias.weight", 32, HEADS)
    for i in range(2):
        bert_layer_weights(w, p + f"encoder.layer.{i}.", names)
    if head == "Model":
        w.full("pooler.dense", D, D)
    else:
        w.full("lm_head.dense", D, D)
        w.bias_norm("lm_head.layer_norm")
        w["lm_head.bias"] = ((V,), 0.0)
    w.draw()

    def run(ids, mask=None):
        places = [padding if t == padding else padding + 1 + sum(1 for s in ids[:i] if s != padding) for i, t in enumerate(ids)]
        x = w.layer_norm(p + "embeddings.LayerNorm", w.at(p + "embeddings.word_embeddings.weight")[ids] + w.at(p + "embeddings.position_embeddings.weight")[places], epsilon)
        table = w.at(p + "encoder.relative_attention_bias.weight")
        bias = [np.array([[table[bucket_of_t5(k - q, 32, 128), h] for k in range(len(ids))] for q in range(len(ids))]) for h in range(HEADS)]
        seen = [x]
        for i in range(2):
            x = bert_layer(w, p + f"encoder.layer.{i}.", x, None if mask is None else mask == 0, epsilon, names=names, bias=bias)
            seen.append(x)
        if head == "Model":
            return states({"last_hidden_state": x, "pooler_output": np.tanh(w.apply("pooler.dense", x[0]))}, seen)
        y = w.layer_norm("lm_head.layer_norm", gelu(w.apply("lm_head.dense", x)), epsilon)
        return states({"logits": y @ w.at(p + "embeddings.word_embeddings.weight").T + w.at("lm_head.bias")}, seen)

    config = {"architectures": ["MPNet" + head], "model_type": "mpnet", "vocab_size": V, "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": HIDDEN,
              "hidden_act": "gelu", "max_position_embeddings": 40, "layer_norm_eps": epsilon, "pad_token_id": padding if head == "Model" else 3, "relative_attention_num_buckets": 32}  # the released code has a padding of its own
    write(name, config, w, {"input_ids": IDS, "attention_mask": MASK} if head == "Model" else {"input_ids": np.array([[5, 17, 3, 44, 96, 8, 21], [9, 2, 60, 60, 1, 1, 1]])}, run)


def deberta_answer(w, p, head, x, seen, epsilon):
    """What the heads of all three versions make of the last layer."""
    if head == "Model":
        return states({"last_hidden_state": x}, seen)
    if head == "ForSequenceClassification":
        return {"logits": w.apply("classifier", gelu(w.apply("pooler.dense", x[0])))}
    y = w.layer_norm("cls.predictions.transform.LayerNorm", gelu(w.apply("cls.predictions.transform.dense", x)), epsilon)
    return states({"logits": y @ w.at(p + "embeddings.word_embeddings.weight").T + w.at("cls.predictions.bias")}, seen)


def deberta(name, head, shared, kinds, buckets):
    """He et al. (2020), "DeBERTa: Decoding-enhanced BERT with Disentangled Attention", arXiv:2006.03654, section 3.1; v2 and v3 (arXiv:2111.09543): logarithmic buckets of distances,
    projections shared by contents and positions, a norm of the relative embeddings."""
    w, epsilon, longest = Drawn(), 1e-7, 40
    p = "" if head == "Model" else "deberta."
    span = buckets if buckets > 0 else longest
    w.matrix(p + "embeddings.word_embeddings.weight", V, D)
    w.bias_norm(p + "embeddings.LayerNorm")
    if not shared:
        w.matrix(p + "embeddings.position_embeddings.weight", longest, D)
        w.matrix(p + "embeddings.token_type_embeddings.weight", 2, D)
    w.matrix(p + "encoder.rel_embeddings.weight", 2 * span, D)
    if shared:
        w.bias_norm(p + "encoder.LayerNorm")
    names = ("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj", "attention.output.dense", "attention.output.LayerNorm")
    for i in range(2):
        layer = p + f"encoder.layer.{i}."
        bert_layer_weights(w, layer, names)
        if not shared and "c2p" in kinds:
            w.full(layer + "attention.self.pos_key_proj", D, D)
        if not shared and "p2c" in kinds:
            w.full(layer + "attention.self.pos_query_proj", D, D)
    if head == "ForMaskedLM":
        w.full("cls.predictions.transform.dense", D, D)
        w.bias_norm("cls.predictions.transform.LayerNorm")
        w["cls.predictions.bias"] = ((V,), 0.0)
    if head == "ForSequenceClassification":
        w.full("pooler.dense", D, D)
        w.full("classifier", D, 3)
    w.draw()

    def place(distance):
        """Row of the table for query - key."""
        if buckets > 0:
            middle = buckets // 2
            if abs(distance) > middle:
                sign = 1 if distance > 0 else -1
                distance = sign * (math.ceil(math.log(abs(distance) / middle) / math.log((longest - 1) / middle) * (middle - 1)) + middle)
        return min(max(distance + span, 0), 2 * span - 1)

    def layer_of(i, x, mask):
        layer = p + f"encoder.layer.{i}."
        table = w.at(p + "encoder.rel_embeddings.weight")
        if shared:
            table = w.layer_norm(p + "encoder.LayerNorm", table, epsilon)
        q, k, v = (heads(w.apply(layer + n, x)) for n in names[:3])
        keys = heads(w.apply(layer + ("attention.self.key_proj" if shared else "attention.self.pos_key_proj"), table)) if "c2p" in kinds else None
        queries = heads(w.apply(layer + ("attention.self.query_proj" if shared else "attention.self.pos_query_proj"), table)) if "p2c" in kinds else None
        scale = 1 / math.sqrt(SIZE * (1 + len(kinds)))
        bias = []
        for h in range(HEADS):
            added = np.zeros((len(x), len(x)))
            for a in range(len(x)):
                for b in range(len(x)):
                    if keys:
                        added[a, b] += q[h][a] @ keys[h][place(a - b)] * scale
                    if queries:
                        added[a, b] += k[h][b] @ queries[h][place(a - b)] * scale
            bias.append(added)
        attended = w.apply(layer + names[3], attention(q, k, v, scale, bias, None if mask is None else mask == 0))
        x = w.layer_norm(layer + names[4], x + attended, epsilon)
        return w.layer_norm(layer + "output.LayerNorm", x + w.apply(layer + "output.dense", gelu(w.apply(layer + "intermediate.dense", x))), epsilon)

    def run(ids, mask=None, types=None):
        x = w.at(p + "embeddings.word_embeddings.weight")[ids]
        if not shared:
            x = x + w.at(p + "embeddings.position_embeddings.weight")[: len(ids)] + w.at(p + "embeddings.token_type_embeddings.weight")[np.zeros_like(ids) if types is None else types]
        x = w.layer_norm(p + "embeddings.LayerNorm", x, epsilon)
        seen = [x]
        for i in range(2):
            x = layer_of(i, x, mask)
            seen.append(x)
        return deberta_answer(w, p, head, x, seen, epsilon)

    config = {"architectures": ["DebertaV2" + head], "model_type": "deberta-v2", "vocab_size": V, "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": HEADS,
              "intermediate_size": HIDDEN, "hidden_act": "gelu", "max_position_embeddings": longest, "layer_norm_eps": epsilon, "pad_token_id": 0, "relative_attention": True,
              "max_relative_positions": -1, "position_buckets": buckets, "norm_rel_ebd": "layer_norm" if shared else "none", "share_att_key": shared, "pos_att_type": kinds,
              "position_biased_input": not shared, "type_vocab_size": 0 if shared else 2, "pooler_hidden_act": "gelu", "pooler_dropout": 0, "num_labels": 3}
    text = np.concatenate([IDS, IDS[:, ::-1]], 1)  # long enough for logarithmic buckets
    write(name, config, w, {"input_ids": text} if shared else {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": TYPES}, run)


def deberta_v1(name, head, kinds, longest, biased_input):
    """The first DeBERTa, arXiv:2006.03654, section 3.1, equations 2 to 4: one matrix for queries, keys and values, head by head, without a bias of keys; distances up to `longest`, those beyond share the
    last row. The names and the order of rows in that matrix are written from knowledge of the released checkpoints, without the library at hand."""
    w, epsilon = Drawn(), 1e-7
    p = "" if head == "Model" else "deberta."
    w.matrix(p + "embeddings.word_embeddings.weight", V, D)
    w.bias_norm(p + "embeddings.LayerNorm")
    if biased_input:
        w.matrix(p + "embeddings.position_embeddings.weight", 40, D)
    w.matrix(p + "encoder.rel_embeddings.weight", 2 * longest, D)
    for i in range(2):
        layer = p + f"encoder.layer.{i}."
        w.linear(layer + "attention.self.in_proj", D, 3 * D, False)
        w.constant(layer + "attention.self.q_bias", D, 0.0)
        w.constant(layer + "attention.self.v_bias", D, 0.0)
        if "c2p" in kinds:
            w.linear(layer + "attention.self.pos_proj", D, D, False)
        if "p2c" in kinds:
            w.full(layer + "attention.self.pos_q_proj", D, D)
        w.full(layer + "attention.output.dense", D, D)
        w.bias_norm(layer + "attention.output.LayerNorm")
        w.full(layer + "intermediate.dense", D, HIDDEN)
        w.full(layer + "output.dense", HIDDEN, D)
        w.bias_norm(layer + "output.LayerNorm")
    if head == "ForMaskedLM":
        w.full("cls.predictions.transform.dense", D, D)
        w.bias_norm("cls.predictions.transform.LayerNorm")
        w["cls.predictions.bias"] = ((V,), 0.0)
    if head == "ForSequenceClassification":
        w.full("pooler.dense", D, D)
        w.full("classifier", D, 3)
    w.draw()

    def run(ids, mask=None):
        x = w.at(p + "embeddings.word_embeddings.weight")[ids]
        if biased_input:
            x = x + w.at(p + "embeddings.position_embeddings.weight")[: len(ids)]
        x = w.layer_norm(p + "embeddings.LayerNorm", x, epsilon)
        seen, scale = [x], 1 / math.sqrt(SIZE * (1 + len(kinds)))
        table = w.at(p + "encoder.rel_embeddings.weight")
        for i in range(2):
            layer = p + f"encoder.layer.{i}."
            self = layer + "attention.self."
            q, k, v, bias = [], [], [], []
            for h in range(HEADS):
                rows = w.at(self + "in_proj.weight")[3 * h * SIZE : 3 * (h + 1) * SIZE]
                own = slice(h * SIZE, (h + 1) * SIZE)
                q.append(x @ rows[:SIZE].T + w.at(self + "q_bias")[own])
                k.append(x @ rows[SIZE : 2 * SIZE].T)
                v.append(x @ rows[2 * SIZE :].T + w.at(self + "v_bias")[own])
                added = np.zeros((len(x), len(x)))
                for a in range(len(x)):
                    for b in range(len(x)):
                        place = min(max(a - b + longest, 0), 2 * longest - 1)
                        if "c2p" in kinds:
                            added[a, b] += q[h][a] @ (table[place] @ w.at(self + "pos_proj.weight").T)[own] * scale
                        if "p2c" in kinds:
                            added[a, b] += k[h][b] @ (table[place] @ w.at(self + "pos_q_proj.weight").T + w.at(self + "pos_q_proj.bias"))[own] * scale
                bias.append(added)
            attended = w.apply(layer + "attention.output.dense", attention(q, k, v, scale, bias, None if mask is None else mask == 0))
            x = w.layer_norm(layer + "attention.output.LayerNorm", x + attended, epsilon)
            x = w.layer_norm(layer + "output.LayerNorm", x + w.apply(layer + "output.dense", gelu(w.apply(layer + "intermediate.dense", x))), epsilon)
            seen.append(x)
        return deberta_answer(w, p, head, x, seen, epsilon)

    config = {"architectures": ["Deberta" + head], "model_type": "deberta", "vocab_size": V, "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": HEADS,
              "intermediate_size": HIDDEN, "hidden_act": "gelu", "max_position_embeddings": 40, "layer_norm_eps": epsilon, "pad_token_id": 0, "relative_attention": True,
              "max_relative_positions": longest, "pos_att_type": "|".join(kinds), "position_biased_input": biased_input, "type_vocab_size": 0, "pooler_hidden_act": "gelu",
              "pooler_dropout": 0, "num_labels": 3}
    write(name, config, w, {"input_ids": IDS, "attention_mask": MASK} if head == "Model" else {"input_ids": IDS}, run)


def modernbert(name, head):
    """Warner et al. (2024), "Smarter, Better, Faster, Longer", arXiv:2412.13663, section 2.1: norms first and without biases, rotary positions, GeGLU, every n-th layer global, the others local."""
    w, epsilon, every, reach = Drawn(), 1e-5, 2, 2
    p = "" if head == "Model" else "model."
    w.matrix(p + "embeddings.tok_embeddings.weight", V, D)
    w.norm(p + "embeddings.norm")
    for i in range(2):
        layer = p + f"layers.{i}."
        if i > 0:
            w.norm(layer + "attn_norm")
        w.norm(layer + "mlp_norm")
        w.linear(layer + "attn.Wqkv", D, 3 * D, False)
        w.linear(layer + "attn.Wo", D, D, False)
        w.linear(layer + "mlp.Wi", D, 2 * HIDDEN, False)
        w.linear(layer + "mlp.Wo", HIDDEN, D, False)
    w.norm(p + "final_norm")
    w.linear("head.dense", D, D, False)
    w.norm("head.norm")
    if head == "ForMaskedLM":
        w["decoder.bias"] = ((V,), 0.0)
    else:
        w.full("classifier", D, 3)
    w.draw()

    def run(ids, mask=None):
        x = w.layer_norm(p + "embeddings.norm", w.at(p + "embeddings.tok_embeddings.weight")[ids], epsilon)
        away = np.abs(np.arange(len(ids))[:, None] - np.arange(len(ids))[None, :]) > reach
        seen = [x]
        for i in range(2):
            layer, is_global = p + f"layers.{i}.", i % every == 0
            q, k, v = np.split(w.apply(layer + "attn.Wqkv", x if i == 0 else w.layer_norm(layer + "attn_norm", x, epsilon)), 3, -1)
            q, k = ([common.turned(h, 160000.0 if is_global else 10000.0) for h in heads(part)] for part in (q, k))
            hidden = np.zeros_like(away) if is_global else away
            if mask is not None:
                hidden = hidden | (mask == 0)[None, :]
            hidden[np.all(hidden, -1)] = False  # padding that sees nothing: its own result is not looked at
            x = x + w.apply(layer + "attn.Wo", attention(q, k, heads(v), hidden=hidden))
            opened, gate = np.split(w.apply(layer + "mlp.Wi", w.layer_norm(layer + "mlp_norm", x, epsilon)), 2, -1)
            x = x + w.apply(layer + "mlp.Wo", gelu(opened) * gate)
            seen.append(x)
        x = w.layer_norm(p + "final_norm", x, epsilon)
        seen[-1] = x
        if head == "ForMaskedLM":
            y = w.layer_norm("head.norm", gelu(w.apply("head.dense", x)), epsilon)
            return states({"logits": y @ w.at(p + "embeddings.tok_embeddings.weight").T + w.at("decoder.bias")}, seen)
        pooled = (x * mask[:, None]).sum(0) / mask.sum()
        return {"logits": w.apply("classifier", w.layer_norm("head.norm", gelu(w.apply("head.dense", pooled)), epsilon))}

    config = {"architectures": ["ModernBert" + head], "model_type": "modernbert", "vocab_size": V, "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": HEADS,
              "intermediate_size": HIDDEN, "hidden_activation": "gelu", "norm_eps": epsilon, "global_attn_every_n_layers": every, "local_attention": 2 * reach, "global_rope_theta": 160000.0,
              "local_rope_theta": 10000.0, "pad_token_id": 0, "classifier_pooling": "mean", "num_labels": 3}
    write(name, config, w, {"input_ids": IDS} if head == "ForMaskedLM" else {"input_ids": IDS, "attention_mask": MASK}, run)


def encoder_decoder_weights(w, prefix, hidden, key_bias=True):
    for stack, layers in (("encoder", 2), ("decoder", 2)):
        for i in range(layers):
            layer = prefix + f"{stack}.layers.{i}."
            for kind in ("self_attn", "encoder_attn") if stack == "decoder" else ("self_attn",):
                for n in ("q_proj", "v_proj", "out_proj"):
                    w.full(layer + f"{kind}.{n}", D, D)
                w.linear(layer + f"{kind}.k_proj", D, D, key_bias)
                w.bias_norm(layer + f"{kind}_layer_norm")
            w.full(layer + "fc1", D, hidden)
            w.full(layer + "fc2", hidden, D)
            w.bias_norm(layer + "final_layer_norm")


def encoder_decoder_layer(w, layer, x, activation, first, hidden=None, memory=None, memory_hidden=None):
    """Vaswani et al. (2017), arXiv:1706.03762, section 3.1; `first`: the norm comes before a branch instead of behind its sum."""
    def branch(norm, x, f):
        return x + f(w.layer_norm(layer + norm, x)) if first else w.layer_norm(layer + norm, x + f(x))

    def attend(kind, x, source, hidden):
        q, k, v = (heads(w.apply(layer + f"{kind}.{n}", of)) for n, of in (("q_proj", x), ("k_proj", source), ("v_proj", source)))
        return w.apply(layer + f"{kind}.out_proj", attention(q, k, v, hidden=hidden))

    x = branch("self_attn_layer_norm", x, lambda y: attend("self_attn", y, y, hidden))
    if memory is not None:
        x = branch("encoder_attn_layer_norm", x, lambda y: attend("encoder_attn", y, memory, memory_hidden))
    return branch("final_layer_norm", x, lambda y: w.apply(layer + "fc2", activation(w.apply(layer + "fc1", y))))


def sinusoids(length):
    """Vaswani et al. (2017), section 3.5; all sines, then all cosines."""
    angle = np.array([[t / 10000 ** (2 * i / D) for i in range(D // 2)] for t in range(length)])
    return np.concatenate([np.sin(angle), np.cos(angle)], -1)


def later(length):
    return np.triu(np.ones((length, length), bool), 1)


def bart(name, kind, head):
    """Lewis et al. (2019), "BART", arXiv:1910.13461, section 2.1; "mbart": Liu et al. (2020), arXiv:2001.08210 (norms first, one more at the end of a stack); "marian": Junczys-Dowmunt et al. (2018),
    arXiv:1804.00344 (sines and cosines for positions, scaled embeddings); "pegasus": Zhang et al. (2019), arXiv:1912.08777 (both)."""
    w, first = Drawn(), kind in ("mbart", "pegasus")
    fixed, scale = kind in ("marian", "pegasus"), math.sqrt(D) if kind != "bart" else 1.0
    activation = "swish" if kind == "marian" else "relu" if kind == "pegasus" else "gelu"
    p = "" if head == "Model" else "model."
    w.matrix(p + "shared.weight", V, D)
    for stack in ("encoder", "decoder"):
        if not fixed:
            w.matrix(p + f"{stack}.embed_positions.weight", 42, D)
            w.bias_norm(p + f"{stack}.layernorm_embedding")
        if first:
            w.bias_norm(p + f"{stack}.layer_norm")
    encoder_decoder_weights(w, p, HIDDEN)
    if head == "ForConditionalGeneration":
        w.buffers["final_logits_bias"] = (1, V)
    if head == "ForSequenceClassification":
        w.full("classification_head.dense", D, D)
        w.full("classification_head.out_proj", D, 3)
    w.draw()

    def stack(name, ids, **others):
        x = w.at(p + "shared.weight")[ids] * scale
        x = x + (sinusoids(len(ids)) if fixed else w.at(p + f"{name}.embed_positions.weight")[2 : 2 + len(ids)])
        if not fixed:
            x = w.layer_norm(p + f"{name}.layernorm_embedding", x)
        seen = [x]
        for i in range(2):
            x = encoder_decoder_layer(w, p + f"{name}.layers.{i}.", x, ACTIVATIONS[activation], first, **others)
            seen.append(x)
        return w.layer_norm(p + f"{name}.layer_norm", x) if first else x

    def run(ids, answer, mask=None):
        hidden = None if mask is None else mask == 0
        memory = stack("encoder", ids, hidden=hidden)
        x = stack("decoder", answer, hidden=later(len(answer)), memory=memory, memory_hidden=hidden)
        if head == "Model":
            return {"last_hidden_state": x, "encoder_last_hidden_state": memory}
        return {"logits": x @ w.at(p + "shared.weight").T + w["final_logits_bias"][0].astype(np.float64)}

    def classify(ids, mask=None):
        """The text goes into both stacks, shifted in the decoder; the state at its last end token is classified."""
        hidden = None if mask is None else mask == 0
        begin = [t for t in ids if t != 1][-1] if kind == "mbart" else 2  # mBART's own last token, the language
        answer = np.concatenate([[begin], ids[:-1]])
        x = stack("decoder", answer, hidden=later(len(ids)), memory=stack("encoder", ids, hidden=hidden), memory_hidden=hidden)
        last = max(i for i, t in enumerate(ids) if t == 2)
        return {"logits": w.apply("classification_head.out_proj", np.tanh(w.apply("classification_head.dense", x[last])))}

    class_name = {"bart": "Bart", "mbart": "MBart", "marian": "Marian", "pegasus": "Pegasus"}[kind]
    class_name += "MTModel" if kind == "marian" else head
    config = {"architectures": [class_name], "model_type": kind, "vocab_size": V, "d_model": D, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": HEADS,
              "decoder_attention_heads": HEADS, "encoder_ffn_dim": HIDDEN, "decoder_ffn_dim": HIDDEN, "activation_function": activation, "max_position_embeddings": 40,
              "scale_embedding": scale != 1, "is_encoder_decoder": True, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "num_labels": 3}
    if head == "ForSequenceClassification":
        ids = [[5, 17, 3, 44, 8, 2, 90], [9, 2, 60, 2, 91, 1, 1]] if kind == "mbart" else [[0, 5, 17, 3, 44, 8, 2], [0, 9, 2, 2, 60, 2, 1]]
        return write(name, config, w, {"input_ids": np.array(ids), "attention_mask": (np.array(ids) != 1).astype(np.int64)}, classify)
    write(name, config, w, {"input_ids": IDS, "decoder_input_ids": ANSWER, **({"attention_mask": MASK} if head == "Model" else {})}, run, 0 if head == "Model" else 6)


def whisper():
    """Radford et al. (2022), "Robust Speech Recognition via Large-Scale Weak Supervision", arXiv:2212.04356, section 2.2: two convolutions, then a transformer whose norms come first."""
    w, mels, frames = Drawn(), 8, 24
    p = "model."
    w.matrix(p + "encoder.conv1.weight", D, mels, 3)
    w.matrix(p + "encoder.conv2.weight", D, D, 3)
    for n in ("conv1", "conv2"):
        w[p + f"encoder.{n}.bias"] = ((D,), 0.0)
    w.matrix(p + "encoder.embed_positions.weight", frames // 2, D)
    w.matrix(p + "decoder.embed_positions.weight", 20, D)
    w.matrix(p + "decoder.embed_tokens.weight", V, D)
    for stack in ("encoder", "decoder"):
        w.bias_norm(p + f"{stack}.layer_norm")
    encoder_decoder_weights(w, p, HIDDEN, key_bias=False)
    w.draw()

    def convolved(name, x, stride):
        """x [frame, channel]; a window of three, one zero at either end."""
        kernel, padded = w.at(p + f"encoder.{name}.weight"), np.pad(x, ((1, 1), (0, 0)))
        return np.array([np.einsum("oik,ki->o", kernel, padded[t : t + 3]) for t in range(0, len(x), stride)]) + w.at(p + f"encoder.{name}.bias")

    def run(features, answer):
        x = gelu(convolved("conv2", gelu(convolved("conv1", features.astype(np.float64).T, 1)), 2)) + w.at(p + "encoder.embed_positions.weight")
        for i in range(2):
            x = encoder_decoder_layer(w, p + f"encoder.layers.{i}.", x, gelu, True)
        memory = w.layer_norm(p + "encoder.layer_norm", x)
        y = w.at(p + "decoder.embed_tokens.weight")[answer] + w.at(p + "decoder.embed_positions.weight")[: len(answer)]
        for i in range(2):
            y = encoder_decoder_layer(w, p + f"decoder.layers.{i}.", y, gelu, True, hidden=later(len(answer)), memory=memory)
        return {"logits": w.layer_norm(p + "decoder.layer_norm", y) @ w.at(p + "decoder.embed_tokens.weight").T}

    config = {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "vocab_size": V, "d_model": D, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": HEADS,
              "decoder_attention_heads": HEADS, "encoder_ffn_dim": HIDDEN, "decoder_ffn_dim": HIDDEN, "activation_function": "gelu", "num_mel_bins": mels, "max_source_positions": frames // 2,
              "max_target_positions": 20, "scale_embedding": False, "is_encoder_decoder": True, "pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 2}
    sound = np.random.RandomState(4).uniform(-1, 1, (2, mels, frames)).astype(np.float32)
    write("whisper", config, w, {"input_features": sound, "decoder_input_ids": ANSWER}, run, 6)


def patches_of(w, name, picture, size):
    """Each patch times one matrix: [row, column, feature]."""
    kernel, bias = w.at(name + ".weight"), w.at(name + ".bias")
    picture = picture.astype(np.float64)
    return np.array([[np.einsum("oihw,ihw->o", kernel, picture[:, y : y + size, x : x + size]) + bias for x in range(0, picture.shape[2] - size + 1, size)]
                     for y in range(0, picture.shape[1] - size + 1, size)])


def swin(name, head, embed, side, window, ratio):
    """Liu et al. (2021), "Swin Transformer", arXiv:2103.14030, section 3: attention inside windows, in every second block of windows moved by half a window; between stages patches are merged."""
    w, depths, counts, patch, epsilon, of_patches = Drawn(), [2, 3], [2, 4], 4, 1e-2, 1e-5  # norms of patches have one of their own
    p = "" if head == "Model" else "swin."
    w.matrix(p + "embeddings.patch_embeddings.projection.weight", embed, 3, patch, patch)
    w[p + "embeddings.patch_embeddings.projection.bias"] = ((embed,), 0.0)
    w.bias_norm(p + "embeddings.norm", embed)
    for s, depth in enumerate(depths):
        width = embed * 2 ** s
        for b in range(depth):
            block = p + f"encoder.layers.{s}.blocks.{b}."
            own = min(window, -(-side // patch) // 2 ** s)
            w.matrix(block + "attention.self.relative_position_bias_table", (2 * own - 1) ** 2, counts[s])
            for n in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
                w.full(block + n, width, width)
            w.bias_norm(block + "layernorm_before", width)
            w.bias_norm(block + "layernorm_after", width)
            w.full(block + "intermediate.dense", width, int(ratio * width))
            w.full(block + "output.dense", int(ratio * width), width)
        if s + 1 < len(depths):
            w.bias_norm(p + f"encoder.layers.{s}.downsample.norm", 4 * width)
            w.linear(p + f"encoder.layers.{s}.downsample.reduction", 4 * width, 2 * width, False)
    last = embed * 2 ** (len(depths) - 1)
    w.bias_norm(p + "layernorm", last)
    if head != "Model":
        w.full("classifier", last, 5)
    w.draw()

    def windowed(block, x, heads_here, own, shift):
        """x [row, column, feature], normed. Positions that lie in one window of the moved grid attend to each other, unless they came together over the edge."""
        rows, columns, width = x.shape
        full_rows, full_columns = -(-rows // own) * own, -(-columns // own) * own
        padded = np.zeros((full_rows, full_columns, width))
        padded[:rows, :columns] = x
        q, k, v = (w.apply(block + f"attention.self.{n}", padded) for n in ("query", "key", "value"))
        table, size = w.at(block + "attention.self.relative_position_bias_table"), width // heads_here
        out = np.zeros_like(padded)
        for top in range(0, full_rows, own):
            for left in range(0, full_columns, own):
                places = [((top + i + shift), (left + j + shift)) for i in range(own) for j in range(own)]  # on the moved grid; those beyond the edge come from the start
                for a, (ya, xa) in enumerate(places):
                    for h in range(heads_here):
                        part = slice(h * size, (h + 1) * size)
                        scores, values = [], []
                        for b, (yb, xb) in enumerate(places):
                            if shift and ((ya >= full_rows) != (yb >= full_rows) or (xa >= full_columns) != (xb >= full_columns)):
                                continue
                            row = (a // own - b // own + own - 1) * (2 * own - 1) + a % own - b % own + own - 1
                            scores.append(q[ya % full_rows, xa % full_columns, part] @ k[yb % full_rows, xb % full_columns, part] / math.sqrt(size) + table[row, h])
                            values.append(v[yb % full_rows, xb % full_columns, part])
                        out[ya % full_rows, xa % full_columns, part] = softmax(np.array(scores)) @ np.array(values)
        return w.apply(block + "attention.output.dense", out)[:rows, :columns]

    def run(picture):
        x = w.layer_norm(p + "embeddings.norm", patches_of(w, p + "embeddings.patch_embeddings.projection", np.pad(picture, ((0, 0), (0, -side % patch), (0, -side % patch))), patch), of_patches)
        for s, depth in enumerate(depths):
            for b in range(depth):
                block = p + f"encoder.layers.{s}.blocks.{b}."
                small = min(x.shape[:2]) <= window
                own = min(x.shape[:2]) if small else window
                x = x + windowed(block, w.layer_norm(block + "layernorm_before", x, epsilon), counts[s], own, 0 if small or b % 2 == 0 else window // 2)
                x = x + w.apply(block + "output.dense", gelu(w.apply(block + "intermediate.dense", w.layer_norm(block + "layernorm_after", x, epsilon))))
            if s + 1 < len(depths):
                rows, columns = x.shape[0] + x.shape[0] % 2, x.shape[1] + x.shape[1] % 2
                padded = np.zeros((rows, columns, x.shape[2]))
                padded[: x.shape[0], : x.shape[1]] = x
                merged = np.concatenate([padded[0::2, 0::2], padded[1::2, 0::2], padded[0::2, 1::2], padded[1::2, 1::2]], -1)
                down = p + f"encoder.layers.{s}.downsample."
                x = w.apply(down + "reduction", w.layer_norm(down + "norm", merged, of_patches))
        x = w.layer_norm(p + "layernorm", x.reshape(-1, x.shape[2]), epsilon)
        pooled = x.mean(0)
        return {"last_hidden_state": x, "pooler_output": pooled} if head == "Model" else {"logits": w.apply("classifier", pooled)}

    config = {"architectures": ["Swin" + head], "model_type": "swin", "image_size": side, "patch_size": patch, "num_channels": 3, "embed_dim": embed, "depths": depths, "num_heads": counts,
              "window_size": window, "mlp_ratio": ratio, "qkv_bias": True, "hidden_act": "gelu", "layer_norm_eps": epsilon, "drop_path_rate": 0.1, "use_absolute_embeddings": False,
              "id2label": {str(i): f"LABEL_{i}" for i in range(5)}}
    write(name, config, w, {"pixel_values": PICTURE[:, :, :side, :side]}, run)


def siglip():
    """Zhai et al. (2023), "Sigmoid Loss for Language Image Pre-Training", arXiv:2303.15343: two encoders without a mask; the last token stands for the text, a learned query pools the patches
    (arXiv:2106.04560, appendix), and what is compared is scaled and shifted."""
    w, epsilon, patch = Drawn(), 1e-6, 8
    t, v = "text_model.", "vision_model."
    w.matrix(t + "embeddings.token_embedding.weight", V, D)
    w.matrix(t + "embeddings.position_embedding.weight", 16, D)
    w.matrix(v + "embeddings.patch_embedding.weight", D, 3, patch, patch)
    w[v + "embeddings.patch_embedding.bias"] = ((D,), 0.0)
    w.matrix(v + "embeddings.position_embedding.weight", 16, D)
    for tower in (t, v):
        for i in range(2):
            layer = tower + f"encoder.layers.{i}."
            for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
                w.full(layer + "self_attn." + n, D, D)
            for n in ("layer_norm1", "layer_norm2"):
                w.bias_norm(layer + n)
            w.full(layer + "mlp.fc1", D, HIDDEN)
            w.full(layer + "mlp.fc2", HIDDEN, D)
    w.bias_norm(t + "final_layer_norm")
    w.full(t + "head", D, D)
    w.bias_norm(v + "post_layernorm")
    w.matrix(v + "head.probe", 1, 1, D)
    w.matrix(v + "head.attention.in_proj_weight", 3 * D, D)
    w[v + "head.attention.in_proj_bias"] = ((3 * D,), 0.0)
    w.full(v + "head.attention.out_proj", D, D)
    w.bias_norm(v + "head.layernorm")
    w.full(v + "head.mlp.fc1", D, HIDDEN)
    w.full(v + "head.mlp.fc2", HIDDEN, D)
    w["logit_scale"] = w["logit_bias"] = ((1,), 0.0)
    w.draw()

    def perceptron(name, x):
        return w.apply(name + "mlp.fc2", gelu_tanh(w.apply(name + "mlp.fc1", x)))

    def encoder(tower, x):
        for i in range(2):
            layer = tower + f"encoder.layers.{i}."
            y = w.layer_norm(layer + "layer_norm1", x, epsilon)
            x = x + w.apply(layer + "self_attn.out_proj", attention(*(heads(w.apply(layer + f"self_attn.{n}_proj", y)) for n in "qkv")))
            x = x + perceptron(layer, w.layer_norm(layer + "layer_norm2", x, epsilon))
        return x

    def text(ids):
        x = w.at(t + "embeddings.token_embedding.weight")[ids] + w.at(t + "embeddings.position_embedding.weight")[: len(ids)]
        return w.apply(t + "head", w.layer_norm(t + "final_layer_norm", encoder(t, x), epsilon)[-1])

    def picture(pixels):
        x = patches_of(w, v + "embeddings.patch_embedding", pixels, patch).reshape(-1, D) + w.at(v + "embeddings.position_embedding.weight")
        x = w.layer_norm(v + "post_layernorm", encoder(v, x), epsilon)
        parts = [(w.at(v + "head.attention.in_proj_weight")[i * D : (i + 1) * D], w.at(v + "head.attention.in_proj_bias")[i * D : (i + 1) * D]) for i in range(3)]
        q, k, value = (heads(source @ m.T + b) for source, (m, b) in zip((w.at(v + "head.probe")[0], x, x), parts))
        y = w.apply(v + "head.attention.out_proj", attention(q, k, value))
        return (y + perceptron(v + "head.", w.layer_norm(v + "head.layernorm", y, epsilon)))[0]

    def unit(x):
        return x / np.sqrt((x * x).sum(-1, keepdims=True))

    texts, pictures = unit(np.array([text(ids) for ids in IDS])), unit(np.array([picture(p) for p in PICTURE]))
    logits = texts @ pictures.T * np.exp(w.at("logit_scale")) + w.at("logit_bias")
    tower = {"hidden_size": D, "intermediate_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": HEADS, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": epsilon}
    config = {"architectures": ["SiglipModel"], "model_type": "siglip", "text_config": {**tower, "vocab_size": V, "max_position_embeddings": 16},
              "vision_config": {**tower, "image_size": 32, "patch_size": patch, "num_channels": 3}}
    rows = iter(range(2))

    def run(ids, pixels):
        i = next(rows)
        return {"logits_per_image": logits.T[i], "logits_per_text": logits[i], "text_embeds": texts[i], "image_embeds": pictures[i]}

    write("siglip", config, w, {"input_ids": IDS, "pixel_values": PICTURE}, run)


def dinov2(name, head, gated):
    """Oquab et al. (2023), "DINOv2", arXiv:2304.07193: a vision transformer with a scale on each branch (Touvron et al. (2021), arXiv:2103.17239, equation 4), the largest with SwiGLU (Shazeer (2020), arXiv:2002.05202)."""
    w, epsilon, patch = Drawn(), 1e-6, 8
    p = "" if head == "Model" else "dinov2."
    inner = (int(int(D * 4) * 2 / 3) + 7) // 8 * 8
    w.matrix(p + "embeddings.cls_token", 1, 1, D)
    w.matrix(p + "embeddings.position_embeddings", 1, 17, D)
    w.matrix(p + "embeddings.patch_embeddings.projection.weight", D, 3, patch, patch)
    w[p + "embeddings.patch_embeddings.projection.bias"] = ((D,), 0.0)
    for i in range(2):
        layer = p + f"encoder.layer.{i}."
        for n in ("norm1", "norm2"):
            w.bias_norm(layer + n)
        for n in ("query", "key", "value"):
            w.full(layer + "attention.attention." + n, D, D)
        w.full(layer + "attention.output.dense", D, D)
        for n in ("layer_scale1", "layer_scale2"):
            w.constant(layer + n + ".lambda1", D, 1.0)
        if gated:
            w.full(layer + "mlp.weights_in", D, 2 * inner)
            w.full(layer + "mlp.weights_out", inner, D)
        else:
            w.full(layer + "mlp.fc1", D, 4 * D)
            w.full(layer + "mlp.fc2", 4 * D, D)
    w.bias_norm(p + "layernorm")
    if head != "Model":
        w.full("classifier", 2 * D, 5)
    w.draw()

    def run(picture):
        x = patches_of(w, p + "embeddings.patch_embeddings.projection", picture, patch).reshape(-1, D)
        x = np.concatenate([w.at(p + "embeddings.cls_token")[0], x]) + w.at(p + "embeddings.position_embeddings")[0]
        seen = [x]
        for i in range(2):
            layer = p + f"encoder.layer.{i}."
            y = w.layer_norm(layer + "norm1", x, epsilon)
            q, k, v = (heads(w.apply(layer + "attention.attention." + n, y)) for n in ("query", "key", "value"))
            x = x + w.at(layer + "layer_scale1.lambda1") * w.apply(layer + "attention.output.dense", attention(q, k, v))
            y = w.layer_norm(layer + "norm2", x, epsilon)
            if gated:
                gate, up = np.split(w.apply(layer + "mlp.weights_in", y), 2, -1)
                y = w.apply(layer + "mlp.weights_out", silu(gate) * up)
            else:
                y = w.apply(layer + "mlp.fc2", gelu(w.apply(layer + "mlp.fc1", y)))
            x = x + w.at(layer + "layer_scale2.lambda1") * y
            seen.append(x)
        x = w.layer_norm(p + "layernorm", x, epsilon)
        if head == "Model":
            return states({"last_hidden_state": x, "pooler_output": x[0]}, seen)
        return states({"logits": w.apply("classifier", np.concatenate([x[0], x[1:].mean(0)]))}, seen)

    config = {"architectures": ["Dinov2" + head], "model_type": "dinov2", "hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": HEADS, "mlp_ratio": 4, "hidden_act": "gelu",
              "layer_norm_eps": epsilon, "image_size": 32, "patch_size": patch, "num_channels": 3, "qkv_bias": True, "layerscale_value": 1.0, "use_swiglu_ffn": gated,
              "id2label": {str(i): f"LABEL_{i}" for i in range(5)}}
    write(name, config, w, {"pixel_values": PICTURE}, run)


if __name__ == "__main__":
    albert("albert", "Model", 1, 1, 2)
    albert("albert-masked", "ForMaskedLM", 1, 1, 2)
    albert("albert-groups", "ForSequenceClassification", 2, 2, 4)
    electra("electra", "Model")
    electra("electra-masked", "ForMaskedLM")
    electra("electra-discriminator", "ForPreTraining")
    electra("electra-sequence", "ForSequenceClassification")
    mpnet("mpnet", "Model")
    mpnet("mpnet-masked", "ForMaskedLM")
    modernbert("modernbert-masked", "ForMaskedLM")
    modernbert("modernbert-sequence", "ForSequenceClassification")
    deberta("deberta-v2-masked", "ForMaskedLM", True, ["p2c", "c2p"], 4)
    deberta("deberta-v2-sequence", "ForSequenceClassification", True, ["p2c", "c2p"], 4)
    deberta("deberta-v2", "Model", False, ["c2p"], -1)
    deberta_v1("deberta-masked", "ForMaskedLM", ["c2p", "p2c"], 40, False)
    deberta_v1("deberta-sequence", "ForSequenceClassification", ["c2p", "p2c"], 4, False)  # distances beyond the table
    deberta_v1("deberta", "Model", ["c2p"], 40, True)
    bart("bart", "bart", "ForConditionalGeneration")
    bart("bart-model", "bart", "Model")
    bart("bart-sequence", "bart", "ForSequenceClassification")
    bart("mbart", "mbart", "ForConditionalGeneration")
    bart("mbart-sequence", "mbart", "ForSequenceClassification")
    bart("marian", "marian", "ForConditionalGeneration")
    bart("pegasus", "pegasus", "ForConditionalGeneration")
    whisper()
    swin("swin", "ForImageClassification", 8, 32, 3, 4.0)
    swin("swin-model", "Model", 8, 23, 4, 2.0)
    siglip()
    dinov2("dinov2", "Model", False)
    dinov2("dinov2-gated", "ForImageClassification", True)
