"""Words that C, C++, their libraries, CMake and driftc's own templates take: no layer or model is called so."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS = _words(
    """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    alignas alignof bool constexpr false nullptr static_assert thread_local true typeof typeof_unqual
    asm and and_eq bitand bitor catch char16_t char32_t char8_t class co_await co_return co_yield compl concept
    consteval constinit const_cast decltype delete dynamic_cast explicit export friend mutable namespace new noexcept
    not not_eq operator or or_eq private protected public reinterpret_cast requires static_cast template this throw
    try typeid typename using virtual wchar_t xor xor_eq"""
)
# Functions that compilers know without a header; gcc warns of another thing by the same name.
_MATH = (
    "a?(cos|sin|tan)h?|atan2|cbrt|ceil|copysign|drem|erfc?|exp(2|10|m1)?|fabs|fdim|finite|floor|fma|fmax|fmin|fmod|frexp|"
    "l?gamma(_r)?|tgamma|hypot|ilogb|is(inf|nan)|[jy][01n]|ldexp|log(10|1p|2|b)?|l?l?r(int|ound)|round(even)?|modf|nan|"
    "nearbyint|nextafter|nexttoward|pow(10)?|remainder|remquo|scalbl?n?|signbit|significand|sincos|sqrt|trunc|"
    "c(abs|a?(cos|sin|tan)h?|arg|exp|imag|log(10)?|onj|pow|proj|real|sqrt)"
)
_LIBRARY = re.compile(
    rf"({_MATH})([fl]|f(16|32x?|64x?|128)|d(32|64|128))?|(gamma|lgamma)[fl]_r|"
    r"isw?(alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit)|isascii|toascii|tow?(lower|upper)|"
    r"mem(p?cpy|chr|cmp|move|set)|bcmp|bcopy|bzero|r?index|st[pr]n?cpy|strn?(cat|cmp|casecmp|dup|len)|"
    r"str(c?spn|r?chr|pbrk|str|fmon|ftime|tok|toll?|toul)|v?(f|s|sn)?(printf|scanf)|f?put[cs]|putchar|fwrite|"
    r"(f?printf|f?put[cs]|putchar|fwrite)_unlocked|abort|(l|ll|imax)?abs|(l|ll)?div|alloca|(aligned_|c|m|re)alloc|"
    r"posix_memalign|free|exit|atexit|ffs(imax|ll?)?|d?c?gettext|exec(le|lp?|v|vp|ve)|fork|fe[a-z]+(env|except|flag|round)|"
    r"errno|assert|offsetof|setjmp|main"
)
# NAME_t of <stdint.h>, <stddef.h> and the other headers of C; NAME.h of the same, and of driftc's own files.
_TYPES = re.compile(
    r"u?int((_fast|_least)?(8|16|32|64)|ptr|max)?|[sr]?size|ptrdiff|wchar|max_align|float|double|l?l?div|imaxdiv|time|"
    r"clock|fpos|off|wint|mbstate|sig_atomic|model|model_memory"
)
_HEADERS = _words(
    """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic
    stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar wchar wctype memory new
    driftc driftc_sigmoid driftc_slots driftc_state model port semihosting bare_metal"""
)
_TARGETS = _words("all clean depend edit_cache help install list_install_components package rebuild_cache test")
_MACROS = _words("in out near far interrupt linux unix arm i386 null arena scratch noreturn complex")
# What the templates call their own variables: a layer of that name would be shadowed, or shadow it.
_TEMPLATES = _words(
    """a acc b c channel column count data element end entry error expected expected_layers first from hash head hook
    in0 in1 index inside kx ky largest last layer layers length memory model next o oc outside parameters pixel product
    quantize quantized real rest restore row s scale segment segments shapes share shift source state state_id steps sum
    sums t tail tap trace user value weight weights whole window x y zero add_to_hash"""
)
# What else the templates call what a model's prefix would be a parameter beside.
_BESIDE = _words(
    """about active adapt backward buffer busy bytes config fill labels learn learnt lesson offset references refused
    seed shared slots taken updatable update upload"""
)
_NUMBERED = re.compile(r"(acc|channel|i|in|input|k|line|out|pixel|ram|row)\d+")


def reserved(name: str) -> bool:
    """Whether a lower-case identifier cannot be the name of a function, a variable or a file of generated C."""
    return (
        any(name in words for words in (KEYWORDS, _MACROS, _TEMPLATES))
        or name.startswith("driftc")
        or (name.endswith("_t") and _TYPES.fullmatch(name.removesuffix("_t")) is not None)
        or _LIBRARY.fullmatch(name) is not None
        or _NUMBERED.fullmatch(name) is not None
    )


def reserved_model(name: str) -> bool:
    """The same for a model, whose name also begins types, header files and a CMake target."""
    taken = any(name in words for words in (_HEADERS, _TARGETS, _BESIDE))
    return taken or reserved(name) or _TYPES.fullmatch(name) is not None
