"""What the rules for the task type know, as data: words that signal something, and what the signals weigh.

Words are in English, German, French and Spanish; a phrase of two words is written with a hyphen ("how-many"), and an
apostrophe parts words too ("what-s"). The
weights are first-version priors set by hand on prompts of our own; a learned classifier replaces them.
"""

from typing import NamedTuple

from vel_tutor_mcp.models import TaskType

_WORDS = {
    "translate": """
        translate translates translated translating translation translator übersetze übersetzen übersetzt übersetzung
        traduis traduisez traduire traduction traduce traducir traduzca traduzcan traducción do-you say-in""",
    "into_language": """
        into-english into-german into-french into-spanish into-italian into-portuguese into-japanese into-chinese
        into-dutch into-polish into-russian to-english to-german to-french to-spanish to-italian to-portuguese
        to-japanese to-chinese to-russian to-dutch in-english in-german in-french in-spanish in-italian ins-englische
        ins-deutsche ins-französische ins-spanische auf-deutsch auf-englisch auf-französisch auf-spanisch en-français
        en-anglais en-allemand en-espagnol en-español en-inglés en-alemán en-francés al-español al-inglés al-alemán
        al-francés l-anglais l-allemand in-japanese in-chinese in-portuguese in-russian in-korean in-latin""",
    "tongue": """
        english german french spanish italian portuguese japanese chinese russian dutch polish korean arabic turkish
        latin englische deutsche deutsch englisch französisch spanisch anglais allemand espagnol inglés alemán francés
        español""",
    "summarize": """
        abstract down-to shorter summarize summarise summarizes summarises summarizing summarising summary summaries
        tldr tl-dr condense shorten zusammenfassen zusammenfassung fasse résume résumer résumez résumé synthèse
        resumen resumir resuma resume-este resume-esta resume-el resume-la resume-los key-points main-points
        key-takeaways bullet-points main-idea overview takeaways gist recap article-about text-about überblick
        kernaussagen puntos-clave points-clés""",
    "extract": """
        get-every get-all find-every list-every pull-the tags fill-in positive-or extract extracts extracting parse
        extrahiere extrahieren extrais extraire extrayez extrae extraer extraiga classify categorize categorise label
        tag klassifiziere clasifica list-all identify-all pull-out find-all named-entities entities mentioned hateful
        offensive positive negative neutral spam entitäten entités entidades sentiment""",
    "structured": "json csv yaml xml table tabelle tableau tabla schema fields columns spreadsheet",
    "material": """
        article paragraph passage tweet review invoice transcript notes report text sentence following below email
        artikel absatz texte paragraphe texto artículo párrafo""",
    "fix": """
        fix fixes fixing debug debugging repair troubleshoot diagnose behebe beheben repariere korrigiere corrige
        corrigez corriger débogue arregla arreglar depura""",
    "fault": """
        but-returns but-it but-gets off-by stuck never-terminates infinite bug bugs traceback stacktrace stack-trace
        crash crashes crashed crashing fails failing failed broken segfault segmentation deadlock deadlocks
        t-work not-working t-working stopped-working mistake never-ends doing-wrong throws hangs leaks
        fehlschlägt funktioniert-nicht fehlermeldung abstürzt stürzt ne-fonctionne plante no-funciona falla fallan""",
    "error": """
        error errors err unable cannot wrong exception exceptions fehler erreur erreurs excepción undefined null""",
    "why": """
        why-is why-does why-do why-did why-are why-this why-my why-the why-it why-am s-wrong what-is-wrong warum
        pourquoi por-qué""",
    "code": """
        migration database repository git github quicksort implement implementiere programmiere implémente implementa
        code codebase function functions script scripts program algorithm class endpoint regex unit-test unit-tests
        compile component recursion refactor middleware backend frontend app api array arrays indices one-liner
        linked-list binary-search loop query cli web-page funktion programm skript klasse algorithmus fonction
        programme algorithme función programa clase algoritmo código""",
    "language": """
        python javascript typescript java rust golang c-+ c-# kotlin swift php ruby sql html css react vue django flask
        fastapi pytest bash powershell dockerfile docker numpy pandas npm kubernetes terraform""",
    "make": """
        write implement create build develop generate add make-me make-a refactor rewrite design draft compose
        optimize optimise port convert come-up schreibe schreib erstelle implementiere entwickle programmiere verfasse
        generiere écris écrivez écrire crée créez implémente développe rédige rédigez génère escribe escriba escribir
        crea implementa desarrolla redacta genera""",
    "creative": """
        ideas vivid invente imagine-a imagina story stories poem poems haiku song lyrics novel tale limerick sonnet
        slogan slogans tagline taglines joke jokes screenplay dialogue roleplay role-play pretend fictional monologue
        fable ballad rhyme jingle brainstorm names-for name-for ideas-for bedtime geschichte gedicht märchen
        kurzgeschichte poème chanson conte cuento poema canción une-histoire una-historia""",
    "message": """
        email e-mail letter blog essay speech toast headline headlines caption greeting invitation advert post brief
        rede lettre discours carta discurso""",
    "solve": """
        if-all interest logic deduction expected compound worth discount begründe justifie prove proof solve calculate
        compute derive deduce how-many how-much how-long how-far how-old how-fast all-but expected-value taller
        shorter area average probability equation equations integral derivative triangle puzzle riddle theorem
        logically step-by remainder divisible odds percent beweise berechne berechnen löse wie-viele wie-viel
        wie-lange wie-schnell wahrscheinlichkeit gleichung rätsel beweis démontre démontrez prouve calcule calculez
        résous résoudre combien probabilité équation énigme étape-par demuestra demostrar calcula resuelve resolver
        cuántos cuántas cuánto probabilidad ecuación acertijo""",
    "weigh": """
        compare plan strategy strategies analyze analyse evaluate decide trade-offs tradeoffs trade-off versus
        pros-and which-is prioritize roadmap decide-between architecture implications assess root-cause vergleiche
        analysiere bewerte abwägen strategie comparez analysez évalue stratégie avantages compara analiza evalúa
        estrategia ventajas""",
    "research": """
        yesterday right-now peer-reviewed studies what-happened happened stock neuen survey research investigate
        latest newest recent recently news sources citations cite papers literature state-of market-size up-to-date
        find-out who-won this-week this-month this-year as-of links recherchiere neueste neuesten aktuelle aktuellen
        aktueller nachrichten quellen studien dernières derniers actualités récentes récents études últimas últimos
        noticias fuentes investiga recientes""",
    "now": """
        current currently today heute aktuell derzeit aujourd-hui actuellement hoy actualmente""",
    "ask": """
        what-is what-are what-s who-is who-was when-was where-is what-does define definition tell-me meaning recommend
        suggest how-do how-can how-to hello hi hallo bonjour hola thanks validate valid check verify was-ist wer-ist
        was-bedeutet wer-war prüfe unterschied est-ce est-quoi qui-est vérifie qué-es quién-es cuál-es valida
        difference""",
    "explain": "explain describe erkläre erklär explique expliquez explica",
    "hard": """
        prove proof theorem distributed concurrent concurrency thread-safe lock-free scalable deadlock race-condition
        cryptographic rigorous rigorously optimal asymptotic complexity derive architecture kernel compiler integral
        eigenvalue topology multi-tenant fault-tolerant consensus beweise beweis verteilte nebenläufig démontre
        démontrez distribué demuestra distribuido""",
    "expert": """
        show-that if-and infinitely-many irrational primes congruent bijective injective isomorphic isomorphism
        homomorphism convergent converges lemma corollary hamiltonian lagrangian relativistic quantum thermodynamic
        stereochemistry stereoisomers diels-alder enthalpy entropy titration stoichiometry equilibrium nucleophile
        nucleophilic electrophile molar oxidation isotope orbital liability liable negligence negligent tort plaintiff
        defendant statute statutory jurisdiction enforceable breach repudiatory indemnity arbitration fiduciary estoppel
        contraindicated pathophysiology prognosis comorbidities differential-diagnosis haftung haftet fahrlässigkeit
        responsabilité responsabilidad""",
    "steps": """
        step-by first then finally afterwards multi-step end-to schritt-für zuerst danach anschließend étape-par
        d-abord ensuite enfin paso-a primero luego finalmente""",
    "simple": """
        simple quick quickly short briefly one-word one-sentence yes-or true-or hello hi thanks trivial basic valid
        validate kurz einfach einfache hallo ja-oder bref bonjour breve sencillo rápido hola""",
}


def _index() -> dict[str, tuple[str, ...]]:
    index: dict[str, tuple[str, ...]] = {}
    for signal, words in _WORDS.items():
        for word in words.split():
            index[word] = (*index.get(word, ()), signal)
    return index


SIGNALS = _index()
FIRST_OF_PAIRS = frozenset(phrase.split("-")[0] for phrase in SIGNALS if "-" in phrase)


class Combination(NamedTuple):
    """Signals that mean more together than alone."""

    together: frozenset[str]
    task_type: TaskType
    weight: float
    without: frozenset[str] = frozenset()


_ALONE: dict[TaskType, dict[str, float]] = {
    TaskType.REASONING: {"solve": 2.5, "weigh": 2.0, "expert": 2.2, "why": 0.5, "equation": 2.5, "quantities": 3.0},
    TaskType.CODE_GENERATION: {"code": 1.2, "language": 1.8, "make": 0.5, "code_block": 1.0},
    TaskType.CODE_DEBUG: {
        "fix": 1.5,
        "fault": 1.5,
        "error": 0.5,
        "why": 0.5,
        "code": 0.5,
        "language": 0.5,
        "code_block": 1.0,
        "trace": 4.0,
    },
    TaskType.SUMMARIZATION: {"summarize": 3.0, "material": 0.3},
    TaskType.EXTRACTION: {"extract": 2.5, "structured": 0.7, "material": 0.5},
    TaskType.TRANSLATION: {"translate": 3.0, "into_language": 1.6, "tongue": 0.8},
    TaskType.CREATIVE: {"creative": 2.0, "make": 0.5},
    TaskType.RESEARCH: {"research": 2.2, "now": 1.6},
    TaskType.GENERAL: {"ask": 1.0, "explain": 2.0},
}
WEIGHTS: dict[str, list[tuple[TaskType, float]]] = {}
for _task_type, _weights in _ALONE.items():
    for _signal, _weight in _weights.items():
        WEIGHTS.setdefault(_signal, []).append((_task_type, _weight))

COMBINATIONS = (
    Combination(frozenset({"fault", "code"}), TaskType.CODE_DEBUG, 2.5),
    Combination(frozenset({"fault", "language"}), TaskType.CODE_DEBUG, 2.5),
    Combination(frozenset({"error", "language"}), TaskType.CODE_DEBUG, 1.0),
    Combination(frozenset({"fault", "code_block"}), TaskType.CODE_DEBUG, 2.5),
    Combination(frozenset({"fault", "why"}), TaskType.CODE_DEBUG, 1.5),
    Combination(frozenset({"fault", "fix"}), TaskType.CODE_DEBUG, 1.5),
    Combination(frozenset({"fix", "code"}), TaskType.CODE_DEBUG, 2.0),
    Combination(frozenset({"fix", "error"}), TaskType.CODE_DEBUG, 1.5),
    Combination(frozenset({"error", "code"}), TaskType.CODE_DEBUG, 1.0),
    Combination(frozenset({"why", "code_block"}), TaskType.CODE_DEBUG, 2.0),
    Combination(frozenset({"make", "code"}), TaskType.CODE_GENERATION, 1.5),
    Combination(frozenset({"make", "language"}), TaskType.CODE_GENERATION, 1.0),
    Combination(frozenset({"tongue", "material"}), TaskType.TRANSLATION, 1.0),
    Combination(frozenset({"make", "code_block"}), TaskType.CODE_GENERATION, 1.5),
    Combination(frozenset({"extract", "structured"}), TaskType.EXTRACTION, 1.0),
    Combination(frozenset({"material", "structured"}), TaskType.EXTRACTION, 1.5),
    Combination(frozenset({"research", "now"}), TaskType.RESEARCH, 1.0),
    Combination(frozenset({"ask", "now"}), TaskType.RESEARCH, 1.0),
    Combination(frozenset({"translate", "into_language"}), TaskType.TRANSLATION, 2.0),
    # From one programming language to another.
    Combination(frozenset({"translate", "code"}), TaskType.CODE_GENERATION, 4.0, frozenset({"into_language"})),
    Combination(frozenset({"translate", "language"}), TaskType.CODE_GENERATION, 2.0, frozenset({"into_language"})),
    Combination(frozenset({"translate", "code"}), TaskType.TRANSLATION, -3.0, frozenset({"into_language"})),
)

# The first of these in the request says what is asked for; those of OBJECTS only as what a verb of making makes.
LEADS = {
    "translate": TaskType.TRANSLATION,
    "summarize": TaskType.SUMMARIZATION,
    "extract": TaskType.EXTRACTION,
    "fix": TaskType.CODE_DEBUG,
    "creative": TaskType.CREATIVE,
    "solve": TaskType.REASONING,
    "weigh": TaskType.REASONING,
    "research": TaskType.RESEARCH,
}
OBJECTS = {
    "code": TaskType.CODE_GENERATION,
    "language": TaskType.CODE_GENERATION,
    "message": TaskType.CREATIVE,
    "creative": TaskType.CREATIVE,
    "summarize": TaskType.SUMMARIZATION,
    "translate": TaskType.TRANSLATION,
    "weigh": TaskType.REASONING,
}
