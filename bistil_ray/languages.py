"""Language codes: one spelling for each language, its English name and its usual script.

Codes follow BCP 47 with the shortest spelling (``sw``, not ``swa`` or ``swh``), which is how corpora are named.
"""

from __future__ import annotations

import difflib

import langcodes
from langcodes.tag_parser import LanguageTagError

from .errors import ConfigError

# The languages that teachers, corpora and task data are usually named with. Any other valid code is taken as well; it
# goes by its code alone.
NAMES = {
    "ab": "Abkhazian",
    "ace": "Acehnese",
    "af": "Afrikaans",
    "ak": "Akan",
    "am": "Amharic",
    "ar": "Arabic",
    "arz": "Egyptian Arabic",
    "as": "Assamese",
    "ast": "Asturian",
    "ay": "Aymara",
    "az": "Azerbaijani",
    "ba": "Bashkir",
    "ban": "Balinese",
    "bbj": "Ghomala",
    "be": "Belarusian",
    "bg": "Bulgarian",
    "bho": "Bhojpuri",
    "bm": "Bambara",
    "bn": "Bengali",
    "bo": "Tibetan",
    "br": "Breton",
    "bs": "Bosnian",
    "bua": "Buriat",
    "ca": "Catalan",
    "ceb": "Cebuano",
    "ckb": "Central Kurdish",
    "cs": "Czech",
    "cv": "Chuvash",
    "cy": "Welsh",
    "da": "Danish",
    "de": "German",
    "dv": "Divehi",
    "dz": "Dzongkha",
    "ee": "Ewe",
    "el": "Greek",
    "en": "English",
    "eo": "Esperanto",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "ff": "Fula",
    "fi": "Finnish",
    "fil": "Filipino",
    "fo": "Faroese",
    "fon": "Fon",
    "fr": "French",
    "fy": "Western Frisian",
    "ga": "Irish",
    "gd": "Scottish Gaelic",
    "gl": "Galician",
    "gn": "Guarani",
    "gu": "Gujarati",
    "ha": "Hausa",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hsb": "Upper Sorbian",
    "ht": "Haitian Creole",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "ig": "Igbo",
    "ilo": "Iloko",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "jv": "Javanese",
    "ka": "Georgian",
    "kam": "Kamba",
    "ki": "Kikuyu",
    "kk": "Kazakh",
    "km": "Khmer",
    "kn": "Kannada",
    "ko": "Korean",
    "ku": "Kurdish",
    "kv": "Komi",
    "ky": "Kyrgyz",
    "la": "Latin",
    "lb": "Luxembourgish",
    "lg": "Ganda",
    "ln": "Lingala",
    "lo": "Lao",
    "lt": "Lithuanian",
    "luo": "Luo",
    "lv": "Latvian",
    "mai": "Maithili",
    "mg": "Malagasy",
    "mi": "Māori",
    "min": "Minangkabau",
    "mk": "Macedonian",
    "ml": "Malayalam",
    "mn": "Mongolian",
    "mos": "Mossi",
    "mr": "Marathi",
    "ms": "Malay",
    "mt": "Maltese",
    "my": "Burmese",
    "myv": "Erzya",
    "nah": "Nahuatl",
    "nb": "Norwegian Bokmål",
    "ne": "Nepali",
    "nl": "Dutch",
    "nn": "Norwegian Nynorsk",
    "no": "Norwegian",
    "nso": "Northern Sotho",
    "ny": "Chichewa",
    "oc": "Occitan",
    "om": "Oromo",
    "or": "Odia",
    "os": "Ossetic",
    "pa": "Punjabi",
    "pcm": "Nigerian Pidgin",
    "pl": "Polish",
    "pnb": "Western Punjabi",
    "ps": "Pashto",
    "pt": "Portuguese",
    "qu": "Quechua",
    "rn": "Rundi",
    "ro": "Romanian",
    "ru": "Russian",
    "rw": "Kinyarwanda",
    "sa": "Sanskrit",
    "sah": "Yakut",
    "sat": "Santali",
    "sd": "Sindhi",
    "se": "Northern Sami",
    "sg": "Sango",
    "si": "Sinhala",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sn": "Shona",
    "so": "Somali",
    "sq": "Albanian",
    "sr": "Serbian",
    "ss": "Swati",
    "st": "Southern Sotho",
    "su": "Sundanese",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "tg": "Tajik",
    "th": "Thai",
    "ti": "Tigrinya",
    "tk": "Turkmen",
    "tn": "Tswana",
    "tr": "Turkish",
    "ts": "Tsonga",
    "tt": "Tatar",
    "tw": "Twi",
    "ug": "Uyghur",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "uz": "Uzbek",
    "ve": "Venda",
    "vi": "Vietnamese",
    "war": "Waray",
    "wo": "Wolof",
    "xh": "Xhosa",
    "yi": "Yiddish",
    "yo": "Yoruba",
    "yue": "Cantonese",
    "zh": "Chinese",
    "zu": "Zulu",
}

# Codes that are valid but name no language: undetermined, several, none, uncoded.
_NO_LANGUAGE = {"und", "mul", "zxx", "mis"}


def parse_language(code: str, flag: str = "--langs") -> str:
    """Give the one spelling of a language code: ``swa``, ``swh`` and ``SW`` are ``sw``; ``yor`` is ``yo``.

    A member of a macrolanguage takes the macrolanguage's two-letter code where there is one (``cmn`` is ``zh``), since
    that is the name its corpora carry; a two-letter code is never merged into another (``tw`` stays ``tw``). Script and
    region are kept (``sr-Latn``). Raises ConfigError with near matches, by code and by name, for what is no language;
    ``flag`` is where the code was given.
    """
    text = code.strip()
    try:
        tag = langcodes.standardize_tag(text)
        language = langcodes.Language.get(tag)
        if len(language.language or "") == 3:
            merged = langcodes.standardize_tag(text, macro=True)
            if len(langcodes.Language.get(merged).language or "") == 2:
                tag = merged
        valid = language.is_valid() and _is_one_language(language.language)
    except LanguageTagError:
        valid = False
    if not valid:
        raise ConfigError(f"unknown language {code!r} in {flag}{_near(text)}")
    return tag


def parse_languages(codes: str, flag: str = "--langs") -> list[str]:
    """Split a comma-separated list such as ``sw, yor,ha`` into language codes, each once, in the order given.

    Raises ConfigError where one is unknown or none is there.
    """
    parsed = dict.fromkeys(parse_language(part, flag) for part in codes.split(",") if part.strip())
    if not parsed:
        raise ConfigError(f"{flag} is {codes!r}: name at least one language, such as {flag} sw,yo,ha")
    return list(parsed)


def language_name(code: str) -> str:
    """Give the English name of a language (``Swahili``), or the code itself where no name is known."""
    tag = parse_language(code)
    return NAMES.get(tag) or NAMES.get(tag.split("-")[0], tag)


def language_script(code: str) -> str | None:
    """Give the four-letter ISO 15924 code of the script a language is usually written in (``Latn``)."""
    return langcodes.Language.get(parse_language(code)).maximize().script


def _is_one_language(code: str | None) -> bool:
    """Tell a language's code from a private one (``x-...``, ``qaa`` to ``qtz``) and from those of no language."""
    return code is not None and len(code) <= 3 and code not in _NO_LANGUAGE and not "qaa" <= code <= "qtz"


def _near(text: str) -> str:
    """Suggest up to three languages whose code or name is close to ``text``."""
    word = text.casefold()
    names = {name.casefold(): tag for tag, name in NAMES.items()}
    tags = [names[name] for name in difflib.get_close_matches(word, names, n=3, cutoff=0.75)]
    if len(word) <= 4:
        by_code = difflib.get_close_matches(word, NAMES, n=len(NAMES), cutoff=0.5)
        tags += sorted(by_code, key=lambda tag: tag[0] != word[0])
    near = list(dict.fromkeys(tags))[:3]
    if not near:
        return "; give ISO 639 codes, such as sw,yo,ha"
    return f"; did you mean {' or '.join(f'{tag} ({NAMES[tag]})' for tag in near)}?"
