"""Real models with random weights, small enough to be made in a test."""

import anyio
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ctxeng.settings import ModelSettings
from ctxeng.types import GenerationOptions, Message

TEMPLATE = (
    "{% for message in messages %}<|turn|>{{ message.role }}\n{{ message.content }}<|done|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
WORDS = """The quick brown fox jumps over the lazy dog. Expenses above 500 euros go to
Ines. Every parent may take 20 weeks of parental leave. {"name": "x", "value": 1, "list": [null]}
Größe, naïve, 日本語のテキスト, 🎉👍 and some more words to learn from: def get(self): return 1"""
SPECIAL = ["<|turn|>", "<|done|>", "<unk>"]


def make_tokenizer(folder, *, size=400, template=TEMPLATE):
    """Byte by byte, so that any text can be said; ``size``: pieces, at least 260."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [WORDS] * 4,
        trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|done|>", unk_token="<unk>", chat_template=template
    )
    fast.save_pretrained(str(folder))
    return fast


def make_model(
    folder, *, seed=0, hidden=32, window=512, template=TEMPLATE, size=400, rows=None, tell_end=True
):
    """A Llama of two layers in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(folder, size=size, template=template)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=rows or len(tokenizer),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=window,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id if tell_end else None,
            initializer_range=0.4,  # random texts that vary, instead of one token for ever
        )
    )
    model.save_pretrained(str(folder))
    return folder


def make_adapter(base, folder, *, seed=1, rank=4, target=("q_proj", "v_proj")):
    """A LoRA adapter whose weights are random, so that it changes what the model says."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model = LlamaForCausalLM.from_pretrained(str(base))
    config = LoraConfig(r=rank, lora_alpha=8, target_modules=list(target), task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, config)
    for name, weight in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.3)
    wrapped.save_pretrained(str(folder))
    return folder


def table(folder, **more):
    return ModelSettings(backend="transformers", model=str(folder), **more)


def ask(generator, messages="Who approves expenses?", **options):
    """All deltas of a reply, within bounded time."""
    if isinstance(messages, str):
        messages = [Message(role="user", content=messages)]

    async def read():
        with anyio.fail_after(60):
            return [d async for d in generator.stream(messages, GenerationOptions(**options))]

    return anyio.run(read)


def text(deltas):
    return "".join(delta.text for delta in deltas)
