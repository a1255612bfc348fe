"""What the rules for the task type know, as data: words that signal something, and what the signals weigh.

Words are in English, German, French and Spanish; a phrase of two words is written with a hyphen ("how-many"), and an
apostrophe parts words too ("what-s"). The
weights are first-version priors set by hand on prompts of our own; a learned classifier replaces them.
"""

from typing import NamedTuple

from vel_tutor_mcp.models import TaskType

_WORDS = {
    "translate": """
        word-for native-speaker version-of traduci tradurre traduca traduzione traduz traduza traduzir tradução
        vertaal vertalen vertaling przetłumacz przetłumaczyć tłumaczenie çevir çevirir çeviri tercüme переведи
        переведите перевести перевод ترجم ترجمة 翻-译 译-成 译-为 翻-訳 訳-し 英-訳 和-訳 번-역 wie-sagt how-would översätt
        was-heißt comment-dit cómo-se come-si como-se translate translates translated translating translation
        translator übersetze übersetzen übersetzt übersetzung traduis traduisez traduire traduction traduce
        traducir traduzca traduzcan traducción do-you say-in""",
    "into_language": """
        in-inglese in-italiano in-tedesco in-francese in-spagnolo para-inglês em-inglês em-português het-engels
        het-nederlands het-duits het-frans na-angielski na-polski na-niemiecki po-angielsku po-polsku
        po-niemiecku po-hiszpańsku ingilizceye türkçeye almancaya на-английский на-русский на-немецкий
        на-французский на-испанский по-английски إلى-الإنجليزية إلى-العربية إلى-الفرنسية 成-英 成-中 成-法 成-德 英-文 中-文
        英-語 日-本 english-please german-please french-please to-swedish into-swedish to-arabic into-arabic
        into-korean to-korean into-turkish to-turkish into-greek to-greek to-polish to-hindi into-hindi to-latin
        into-latin into-ukrainian to-ukrainian into-vietnamese to-vietnamese into-welsh to-danish into-danish
        to-finnish to-hungarian to-czech to-dutch in-dutch in-polish in-turkish in-arabic in-swedish in-greek
        in-hindi in-zulu in-tagalog in-vietnamese in-swahili into-brazilian to-brazilian into-simplified
        to-mandarin into-mandarin auf-niederländisch auf-italienisch auf-polnisch ins-italienische
        ins-niederländische en-italien en-portugais en-néerlandais en-portugués en-italiano into-english
        into-german into-french into-spanish into-italian into-portuguese into-japanese into-chinese into-dutch
        into-polish into-russian to-english to-german to-french to-spanish to-italian to-portuguese to-japanese
        to-chinese to-russian in-english in-german in-french in-spanish in-italian ins-englische ins-deutsche
        ins-französische ins-spanische auf-deutsch auf-englisch auf-französisch auf-spanisch en-français
        en-anglais en-allemand en-espagnol en-español en-inglés en-alemán en-francés al-español al-inglés
        al-alemán al-francés l-anglais l-allemand in-japanese in-chinese in-portuguese in-russian in-korean
        in-latin""",
    "tongue": """
        inglese italiano tedesco francese spagnolo inglês português alemão francês espanhol engels nederlands
        duits frans spaans angielski polski niemiecki ingilizce türkçe almanca fransızca английский русский
        немецкий الإنجليزية العربية vietnamese tagalog ilocano zulu swahili hindi swedish danish norwegian
        finnish greek hebrew thai ukrainian welsh irish czech hungarian romanian indonesian urdu bengali tamil
        persian farsi mandarin cantonese catalan basque italienisch niederländisch polnisch portugiesisch
        italien portugais english german french spanish italian portuguese japanese chinese russian dutch polish
        korean arabic turkish latin englische deutsche deutsch englisch französisch spanisch anglais allemand
        espagnol inglés alemán francés español""",
    "summarize": """
        main-point main-ideas headline-for boil-down boil-this sum-up summing-up compress in-short nutshell
        half-as two-sentences three-sentences wichtigste kürze kürzen kürzer stichpunkte riassumi riassumere
        riassunto sintesi sintetizza resumo sintetize samenvatten samenvatting vat-de vat-dit streść
        streszczenie podsumuj özetle özet özetler сократи резюмируй резюме кратко-изложи суммируй подведи لخص
        لخّص تلخيص ملخص 总-结 概-括 摘-要 要-約 要-点 压-缩 缩-成 요-약 abstract down-to shorter summarize summarise summarizes
        summarises summarizing summarising summary summaries tldr tl-dr condense shorten zusammenfassen
        zusammenfassung fasse résume résumer résumez résumé synthèse resumen resumir resuma resume-este
        resume-esta resume-el resume-la resume-los key-points main-points key-takeaways bullet-points main-idea
        overview takeaways gist recap article-about text-about überblick kernaussagen puntos-clave points-clés""",
    "extract": """
        positive-negative detect-the answer-yes named-entity named rate-each label-each according-to annotate
        hashtags each-of return-json return-a as-json into-json to-json just-the fill-the pick-out pull-every
        saca-los saca-las estrai estrarre elenca extraia extrair wypisz wyciągnij wyodrębnij çıkar ayıkla
        listele etiketle извлеки извлечь выпиши استخرج 提-取 抽-出 列-出 推-出 추-출 welche-beträge classifique classifica
        classifier classez wypunktuj klassificeer haal-alle liste-alle get-every get-all find-every list-every
        pull-the tags fill-in positive-or extract extracts extracting parse extrahiere extrahieren extrais
        extraire extrayez extrae extraer extraiga classify categorize categorise label tag klassifiziere
        clasifica list-all identify-all pull-out find-all named-entities entities mentioned hateful offensive
        positive negative neutral spam entitäten entités entidades sentiment""",
    "structured": """
        tabella tabel таблица таблицу jadwal colonne kolommen spalten columnas colunas keys key-value column
        json csv yaml xml table tabelle tableau tabla schema fields columns spreadsheet""",
    "material": """
        message testo articolo recensione verbale messaggio artigo tekst metin текст статья письмо النص 文-章 文-本
        下-面 以-下 次-の mensagem bericht abstract minutes thread clause lease contract notes-of statement article
        paragraph passage tweet review invoice transcript notes report text sentence following below email
        artikel absatz texte paragraphe texto artículo párrafo""",
    "fix": """
        correggi correggere aggiusta ripara corrija conserte arrume repareer napraw popraw naprawić düzelt
        исправь исправить почини أصلح صحح 修-复 修-正 直-し fix fixes fixing debug debugging repair troubleshoot
        diagnose behebe beheben repariere korrigiere corrige corrigez corriger débogue arregla arreglar depura""",
    "fault": """
        supposed-to whats-wrong what-wrong is-wrong prints-nothing isnt doesnt wont overflows overflow
        stack-overflow invalid missing point-out imagepullbackoff crashloopbackoff valgrind worked-before
        used-to no-output wrong-output wrong-order skips skipping too-many kaputt never-off hangs-on t-run
        not-run t-start type-check leaks-memory sbaglia sbaglio errado-com wrong-with incorrect incorrectly
        expected-output should-print should-return should-be steht-falsch always-shows always-returns immer-0
        geht-nicht t-load not-loading isnt-loading breaks won-t gibberish loops-forever nothing-happens
        keeps-crashing freezes freeze returns-none returns-null rejected refused denied not-found t-compile
        compile-error compiler-error wrong-row wrong-result wrong-value doing-nothing non-funziona va-in
        não-funciona dá-erro falha trava werkt-niet nie-działa çalışmıyor hata-veriyor не-работает падает
        вылетает зависает لا-يعمل 不-工 报-错 崩-溃 卡-住 動-か 動-き overlaps duplicates-every fails-with fails-to
        segfaults memory-leak stopped-after gives-n falsch geeft-steeds blijft suma-mal está-mal va-pas
        marche-pas entra-em but-returns but-it but-gets off-by stuck never-terminates infinite bug bugs
        traceback stacktrace stack-trace crash crashes crashed crashing fails failing failed broken segfault
        segmentation deadlock deadlocks t-work not-working t-working stopped-working mistake never-ends
        doing-wrong throws hangs leaks fehlschlägt funktioniert-nicht fehlermeldung abstürzt stürzt
        ne-fonctionne plante no-funciona falla fallan""",
    "error": """
        errore erro fout foutmelding błąd błędu błędem hata hatası ошибка ошибку ошибкой خطأ 错-误 エ-ラ 오-류 warning
        undefined nan nullpointer error errors err unable cannot wrong exception exceptions fehler erreur
        erreurs excepción null""",
    "why": """
        why perché por-que porquê waarom dlaczego neden niye почему لماذا 为-什 な-ぜ 原-因 wieso weshalb why-is
        why-does why-do why-did why-are why-this why-my why-the why-it why-am s-wrong what-is-wrong warum
        pourquoi por-qué""",
    "code": """
        pseudo-code one-liner batch-file chrome-extension browser-extension command-line regular-expression
        regular-expressions dynamic-programming binary-tree subsequence substring palindrome anagram requête
        consulta-sql abfrage запрос command commands bot html-seite página-html page-html pagina-html data-frame
        dataframe unit linter stack-trace recursive iterative compiler boolean int null-pointer hash-map queue
        api-call endpoints subclass method methods formula formulas formule formel fórmula macro macros makro
        vlookup spreadsheet-formula sketch parser microservice unittest regexp stored-procedure shell-script
        userscript bookmarklet conditional-formatting codice funzione programma função programa-que functie
        programmeer klasse funkcję funkcja skrypt klasę kod kodu kodzie fonksiyon betik функция функцию код коде
        программу программа скрипт класс макрос دالة كود برنامج شيفرة 函-数 代-码 程-序 脚-本 関-数 コ-ー プ-ロ ス-ク マ-ク 함-수
        코-드 python-code decorator generator iterator async await mutex goroutine pointer lambda stack-overflow
        test-cases html-page webpage website-page landing-page kata fizzbuzz leetcode migration database
        repository git github quicksort implement implementiere programmiere implémente implementa code codebase
        function functions script scripts program algorithm class endpoint regex unit-test unit-tests compile
        component recursion refactor middleware backend frontend app api array arrays indices linked-list
        binary-search loop query cli web-page funktion programm skript algorithmus fonction programme algorithme
        función programa clase algoritmo código""",
    "language": """
        scratch raspberry in-go node chrome webpack tsx jsx spark hadoop airflow dbt keras opencv selenium
        playwright jest mocha qt gtk unity unreal godot mcp excel vba sheets matlab haskell perl scala elixir
        lua julia arduino esp nodejs nginx linux git vim jq awk sed postgres postgresql mysql sqlite mongodb
        redis graphql spring laravel rails angular svelte tailwind pytorch tensorflow applescript brainfuck
        cobol fortran prolog lisp clojure ocaml zig solidity verilog vhdl autohotkey makefile cron crontab
        systemd ansible helm vite eslint junit cmake gcc dart flutter jquery wordpress بايثون питоне питон
        c-language in-c in-r tidyverse dplyr ggplot zsh python javascript typescript java rust golang c-+ c-#
        kotlin swift php ruby sql html css react vue django flask fastapi pytest bash powershell dockerfile
        docker numpy pandas npm kubernetes terraform""",
    "make": """
        give-me i-need need-a scrivi crea genera escreva crie gere implemente schrijf maak genereer napisz
        stwórz utwórz zrób przygotuj yaz yazar oluştur hazırla напиши напишите создай составь реализуй придумай
        сделай اكتب أنشئ 写-一 写-个 写-首 编-写 生-成 实-现 書-い 作-っ 作-成 작-성 sketch-out invent produce rédigez fais-moi
        mach-mir schreibt formuliere entwirf verfassen write implement create build develop generate add make-me
        make-a refactor rewrite design draft compose optimize optimise port convert come-up schreibe schreib
        erstelle implementiere entwickle programmiere verfasse generiere écris écrivez écrire crée créez
        implémente développe rédige génère escribe escriba escribir implementa desarrolla redacta""",
    "creative": """
        in-character his-voice her-voice voice-of picture-yourself take-on role-of the-role mascot backstory
        pretend-to toast poem-about headline storia racconto filastrocca poesia história conto piada verhaal
        gedicht rijm opowiadanie wiersz bajka hikaye şiir masal рассказ стихотворение стих сказку сказка قصة
        قصيدة 故-事 诗 一-首 物-語 俳-句 小-说 短-歌 rap verse verses lullaby thriller playful witty funny novella satire
        parody pirate act-as you-are nouvelle style-of lied reim witz humor humour imagined character characters
        narrator scene script-for screenplay blog-post travel-blog anecdote metaphor what-if fan-fiction names
        nicknames title-ideas pun puns epic vers nouvelles poetry acrostic one-act stand-up comedic whimsical
        heartwarming captivating compelling ideas vivid invente imagine-a imagina story stories poem poems haiku
        song lyrics novel tale limerick sonnet slogan slogans tagline taglines joke jokes dialogue roleplay
        role-play pretend fictional monologue fable ballad rhyme jingle brainstorm names-for name-for ideas-for
        bedtime geschichte märchen kurzgeschichte poème chanson conte cuento poema canción une-histoire
        una-historia""",
    "message": """
        cover-letter linkedin instagram product-description product-text newsletter advert ad announcement
        testimonial press-release lettera discorso carta obituary eulogy wedding-speech essay-on invitation card
        pitch bio review-of complaint email e-mail letter blog essay speech toast headline headlines caption
        greeting post brief rede lettre discours discurso""",
    "solve": """
        entail entails entailment it-follow not-belong ladder remaining total-cost chance chances ratio per-hour
        each-year volume perimeter circumference mph speed integrate differentiate simplify factorise factorize
        limit combien spend profit fraction equally half-of calcola risolvi dimostra quanti quante calcule
        resolva quantos quantas bereken bewijs hoeveel oblicz udowodnij rozwiąż ile suma hesapla kaç ispatla çöz
        вычисли вычислить докажи докажите реши решите найдите сколько احسب أثبت كم 计-算 证-明 多-少 求-解 計-算 証-明 何-人
        何-日 계-산 heavier show-that find-all integer integers odd-one implied implies suspects truth-teller liar
        fallacy flaw angle how-high how-big how-far how-tall what-percentage what-time what-day how-heavy
        which-grows sequence next-number in-total altogether each-person evaluates sum-of product-of square-root
        prime factor modulo matrix determinant polynomial vertices kinetic velocity estimate-how roughly-how
        sisters brothers siblings premise premises syllogism conclusion conclude valid-argument sort-these
        combien-de faut-il if-all interest logic deduction expected compound worth discount begründe justifie
        prove proof solve calculate compute derive deduce how-many how-much how-long how-old how-fast all-but
        expected-value taller shorter area average probability equation equations integral derivative triangle
        puzzle riddle theorem logically step-by remainder divisible odds percent beweise berechne berechnen löse
        wie-viele wie-viel wie-lange wie-schnell wahrscheinlichkeit gleichung rätsel beweis démontre démontrez
        prouve calculez résous résoudre probabilité équation énigme étape-par demuestra demostrar calcula
        resuelve resolver cuántos cuántas cuánto probabilidad ecuación acertijo""",
    "weigh": """
        should-i should-we confronta better-to or-should cheaper worth-it vs decide-whether argue argument
        arguments counterargument schedule prioritise optimal best-order which-option which-one compare plan
        strategy strategies analyze analyse evaluate decide trade-offs tradeoffs trade-off versus pros-and
        which-is prioritize roadmap decide-between architecture implications assess root-cause vergleiche
        analysiere bewerte abwägen strategie comparez analysez évalue stratégie avantages compara analiza evalúa
        estrategia ventajas""",
    "research": """
        next-total last-meeting tomorrow demain weather météo wetter forecast sources-and elections fonte fontes
        fonti bron bronnen źródło źródła źródeł kaynak kaynağıyla источник источника источники источниками
        свежие последние المصادر مصادر أحدث 最-新 来-源 出-典 最-近 recente recenti recentes ultime ultimi look-up
        official dois doi please-check link this-morning tonight the-moment dit-moment jurisprudence
        published-this since-202 official-links test-results quellenangabe aktuellste aktuellsten ce-matin
        neueste jetzt-gerade latest-version latest-news exchange-rate opening-hours reviews-of market-share
        statistics-on web-search search-the search-for google browse reputable references reference url urls
        yesterday right-now peer-reviewed studies what-happened happened stock neuen survey research investigate
        latest newest recent recently news sources citations cite papers literature state-of market-size
        up-to-date find-out who-won this-week this-month this-year as-of links recherchiere neuesten aktuelle
        aktuellen aktueller nachrichten quellen studien dernières derniers actualités récentes récents études
        últimas últimos noticias fuentes investiga recientes""",
    "now": """
        now 今-年 今-天 現-在 现-在 目-前 ora oggi attualmente hoje agora atual atualmente vandaag dziś obecnie teraz
        bugün şu-an bu-yıl сегодня сейчас ahora nunc momentan اليوم الآن still-open so-far current currently
        today heute aktuell derzeit aujourd-hui actuellement hoy actualmente""",
    "ask": """
        che-cos cos-è o-que wat-is wat-betekent co-to czym-jest czym nedir ne-demek что-такое ما-هو ما-هي 什-么
        是-什 と-は tips advice any-advice recommend ideas-on what-do what-would quelle-est quelles-sont cómo-puedo
        come-posso como-posso hoe-kan jak wie-kann should-know opinion honest do-i is-it are-there can-i
        what-should what-happens how-does how-did how-are which-are difference-between what-is what-are what-s
        who-is who-was when-was where-is what-does define definition tell-me meaning suggest how-do how-can
        how-to hello hi hallo bonjour hola thanks validate valid check verify was-ist wer-ist was-bedeutet
        wer-war prüfe unterschied est-ce est-quoi qui-est vérifie qué-es quién-es cuál-es valida difference""",
    "explain": """
        outline compare-and spiega spiegami explique leg-uit wyjaśnij açıkla объясни объясните اشرح 解-释 说-明 説-明
        教-え 설-명 explaining walk-me discuss elaborate tell-about beschreibe décris describa outline-the
        overview-of explain describe erkläre erklär expliquez explica""",
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
    "reword": """
        edit edit-the mistakes sounds-wrong schöner-formulieren formuliere-ich spelling paraphrase rephrase
        reword reformulate proofread umformuliere umformulieren reformule reformula herschrijf przeredaguj
        перефразируй grammar tone sounds polite politer rewrite rewrite-so 润-色 改-写 添-削 correct-the less-bossy
        plain-words""",
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
    TaskType.GENERAL: {"ask": 1.0, "explain": 2.0, "reword": 1.0},
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
