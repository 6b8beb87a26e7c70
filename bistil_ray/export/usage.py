"""Programs that use an exported model, as its card shows them. Tests run each one."""

from __future__ import annotations

from .heads import ANSWERER, CLASSIFIER, MASKED_LM, PARSER, TAGGER, Head

THIS_FOLDER = "path/to/this/folder"
TEXT = "Amina Juma wrote a letter to the bank in Nairobi."

_TAGGER = """
from transformers import pipeline

tagger = pipeline("token-classification", model="{place}", aggregation_strategy="first")
print(tagger("{text}"))
"""
_CLASSIFIER = """
from transformers import pipeline

classifier = pipeline("text-classification", model="{place}")
print(classifier("{text}"))
print(classifier([{{"text": "{text}", "text_pair": "Someone wrote."}}]))  # a model for pairs of texts
"""
_ANSWERER = """
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{place}")
model = AutoModelForQuestionAnswering.from_pretrained("{place}")
inputs = tokenizer("Where is the bank?", "{text}", return_tensors="pt")
output = model(**inputs)
first, last = int(output.start_logits.argmax()), int(output.end_logits.argmax())
print(tokenizer.decode(inputs["input_ids"][0, first : last + 1]))
"""
_PARSER = """
import bistil_ray.models.parser  # lets AutoModel know parsers
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{place}")
model = AutoModel.from_pretrained("{place}")
words = "{text}".split()
inputs = tokenizer({words}, is_split_into_words=True, return_tensors="pt")
word_of = inputs.word_ids()
starts = [word_of.index(word) for word in range(len(words))] + [len(word_of) - 1]
output = model(inputs["input_ids"], inputs["attention_mask"], torch.tensor([starts]))
for word, arcs, relations in zip(words, output.arc_logits[0], output.relation_logits[0], strict=True):
    head = int(arcs.argmax())  # 0 is the root, i the i-th word
    print(word, head, model.config.id2label[int(relations[head].argmax())])
"""
_MASKED_LM = """
from transformers import pipeline

fill = pipeline("fill-mask", model="{place}")
print(fill(f"Amina wrote a {{fill.tokenizer.mask_token}} to the bank."))
"""
PROGRAMS = {
    TAGGER: _TAGGER,
    CLASSIFIER: _CLASSIFIER,
    ANSWERER: _ANSWERER,
    PARSER: _PARSER,
    MASKED_LM: _MASKED_LM,
}
_ONNX = """
{opening}
import onnxruntime
from transformers import AutoConfig, AutoTokenizer

tokenizer, labels = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder).id2label
session = onnxruntime.InferenceSession(f"{{folder}}/{file}")
texts = ["{text}"]
encoded = tokenizer(texts, padding=True, return_token_type_ids=True, return_tensors="np")
inputs = {{entry.name: encoded[entry.name] for entry in session.get_inputs()}}
outputs = dict(zip([entry.name for entry in session.get_outputs()], session.run(None, inputs)))
{told}
"""
_TAGS = """
before = None
for token, word, label in zip(encoded.tokens(0), encoded.word_ids(0), outputs["logits"][0].argmax(-1)):
    if word not in (None, before):  # a word's tag is that of its first piece
        print(token, labels[int(label)])
    before = word
""".strip()
_TOLD = {TAGGER: _TAGS, CLASSIFIER: 'print(labels[int(outputs["logits"][0].argmax())])'}
"""What the ONNX program prints, by head; of others the shapes of what comes out."""
_SHAPES = "print({name: values.shape for name, values in outputs.items()})"
_ONNX_PARSER = """
{opening}
import numpy
import onnxruntime
import bistil_ray.models.parser  # lets AutoTokenizer know parsers
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
session = onnxruntime.InferenceSession(f"{{folder}}/{file}")
words = "{text}".split()
encoded = tokenizer({words}, is_split_into_words=True, return_token_type_ids=True)
word_of = encoded.word_ids()
starts = [word_of.index(word) for word in range(len(words))] + [len(word_of) - 1]
values = {{**encoded, "word_starts": starts}}
inputs = {{entry.name: numpy.array([values[entry.name]]) for entry in session.get_inputs()}}
arcs, relations = session.run(["arc_logits", "relation_logits"], inputs)
print(dict(zip(words, arcs[0].argmax(-1).tolist())))  # 0 is the root, i the i-th word
"""


def program(
    head: Head, repository: str | None = None, onnx_file: str | None = None, *, spaced_words: bool = False
) -> str:
    """Give a Python program that loads a model and uses it once.

    The model lies in ``repository`` on the hub, or in THIS_FOLDER; there it is the file ``onnx_file``, if given.
    ``spaced_words``: its tokenizer wants every word of a sentence with the space before it, the first one too.
    """
    place = repository or THIS_FOLDER
    words = '[" " + word for word in words]' if spaced_words else "words"
    given = {"text": f" {TEXT}" if spaced_words and head == TAGGER else TEXT, "words": words}
    if onnx_file is None:
        return PROGRAMS[head].strip().format(place=place, **given)
    opening = f'folder = "{place}"\n'
    if repository is not None:
        opening = f'from huggingface_hub import snapshot_download\n\nfolder = snapshot_download("{place}")\n'
    text = _ONNX_PARSER if head == PARSER else _ONNX
    return text.strip().format(opening=opening, file=onnx_file, told=_TOLD.get(head, _SHAPES), **given)
