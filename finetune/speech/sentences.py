"""Things to say: sentences made from our own words, and words of no language.

Meaning does not matter; the mix of sounds does. Sentences give natural rhythm, made-up words give
every phone in every neighbourhood, and lists rich in p, b, m, f, v and w teach the lips well.
"""

from __future__ import annotations

import random

__all__ = ["LANGUAGES", "foreign_text", "sentence"]


def _words(separator: str, text: str) -> tuple[str, ...]:
    return tuple(text.split(separator))


_PEOPLE = _words(
    "|",
    "my brother|the baker|an old farmer|our neighbour|the young woman|a small boy|my father|the"
    " pilot|her best friend|the whole family|a tired nurse|the mayor|somebody|everybody|the "
    "shoe maker|a quiet man|the fisherman|both of them|that lawyer|the music teacher|a "
    "visitor|Mister Palmer|Emma|Bob|Thomas|Olivia|Peter and Mary|the wolf|five puppies|a white "
    "pigeon|the mother|a poet",
)
_VERBS = _words(
    "|",
    "bought|found|moved|opened|painted|watched|forgot|borrowed|pushed|measured|carried|broke|"
    "made|followed|improved|believed|chose|washed|wanted|threw away|brought back|put up|loved|"
    "examined|ignored|remembered|shaved|waved at|pulled|fixed|photographed|dropped|weighed|kept|"
    "missed|helped",
)
_THINGS = _words(
    "|",
    "a pair of blue gloves|the broken window|seven fresh apples|a warm woollen blanket|the "
    "map|some pepper and mushrooms|the yellow umbrella|a bag of flour|the heavy wooden box|the "
    "piano|a cup of coffee|the empty bottle|this measure of value|a beautiful flower|the garden"
    " hose|many thick books|the rubber boots|a few photographs|the village church|that vague "
    "idea|the moon|a toy ship|the path through the woods|an unusual noise|the beige "
    "cushion|these shoes|the oven|a pound of butter|the football team|a huge bowl of soup|the "
    "bathroom mirror|every other word|the purple velvet curtain|a wide river|the first "
    "movement|my thumb|the judge|a version of it",
)
_PLACES = _words(
    "|",
    "in the morning|before the meeting|at the harbour|under the bridge|by the open fire|last "
    "winter|on the way home|for a while|without a word|from above|in the middle of the "
    "room|after supper|with both hands|near the old mill|over the weekend|in front of the "
    "house|for my mother|at home|because of the bad weather|during the voyage|up on the "
    "roof|all by himself|on Wednesday|in vain|between five and seven|as far as we know|with "
    "great pleasure|on the beach|before Monday",
)
_WHOLE = _words(
    "|",
    "Maybe we should move a bit further.|What would you do about it?|I have never been "
    "happier.|Push the boat away from the beach.|Five white wolves waved farewell.|Please pass "
    "me the butter.|Why were you away for a whole week?|Both of us believe every word of it.|It"
    " is a pleasure.|Who would have thought so?|You do choose unusual shoes.|We hope you will "
    "have a good time.|Bob and Mary bumped into Pam.|How much wood would you move?|No, not now,"
    " thank you very much.|The thirty-third of March was a Thursday.|Oh my, what a bumpy "
    "ride!|I'm fine, and yourself?|Measure the garage before you buy the van.|Joy, voice, "
    "noise, and a boiling oyster.|Hm, maybe.|Our hour is over, out you go now.|Show Sue the "
    "blue shoe.|Father, mother, brother, and baby.|Papa, mama, bubble, pepper, purple.|Huge "
    "cages of young geese.|Up above, a plane was humming.|Yes. No. Perhaps. Well, yes.|Hello? "
    "Hello, can you hear me?|I think that this is the thing.|Wow, we were way ahead of "
    "you!|Every evening the fever vanished.|Ship ahoy, we sail at dawn.",
)
_LINKS = ("and", "but", "so", "because", "while", "if", "when", "although", "and then", "or")

_ONSETS = _words(
    " ",
    "p b m f v w t d n k g s z sh ch j l r y h th pl bl fl pr br fr tr dr kl gl kr gr sp st sk "
    "sm sn sw tw qu p b m f v w p b m f v w",
)
_NUCLEI = _words(
    " ",
    "a e i o u ee oo ai oa ow oi ou ar er or ay ew aw ea",
)
_CODAS = _words(
    " ",
    "p b m f v t d n k g s z sh ch l r ng th mp mb nt nd st ft lp lm ps vz",
)

_FOREIGN: dict[str, str] = {
    "de": "Wir haben am Montag vielleicht ein bisschen Zeit für den Umzug. Fünf müde Bären "
    "möchten über die Brücke. Bitte öffne das Fenster, mir ist warm. Warum blieb die "
    "Puppe im Bus? Schöne Grüße aus Hamburg. Der Apfelbaum wächst hinter dem Pfarrhaus. "
    "Mama kauft Milch und Pflaumen.",
    "fr": "Nous voulons un peu de beurre et une bonne soupe. Le vent souffle sur la plage vide."
    " Mon père a peur du bruit. Une petite lune bleue brille au-dessus du pont. Vous "
    "buvez du vin avec ma mère? Demain matin, on part pour Bordeaux. Il pleut beaucoup.",
    "es": "Mi abuela vive en un pueblo pequeño. Por favor, abre la puerta y pasa. El burro bebe"
    " agua fría. Me gusta mucho el vino blanco. Ponme una cama buena para el bebé. Vamos "
    "a ver la película mañana. Un hombre compra pan y fruta.",
    "it": "La mamma prepara una buona zuppa. Vorrei un bicchiere di vino bianco, per favore. Il"
    " bambino dorme bene. Abbiamo ballato fino alla mattina. Piove sempre sopra il ponte "
    "vecchio. Che bella giornata, facciamo una passeggiata!",
    "pt": "Minha mãe comprou pão e uva. A menina bebe um copo de água fria. Vamos embora amanhã"
    " bem cedo. O homem falou muito pouco. Por favor, feche a porta da varanda. Que bom "
    "ver você de novo.",
    "pl": "Proszę, otwórz okno, bo mi gorąco. Moja babcia mieszka blisko morza. Pies biegnie po"
    " moście. Wczoraj był bardzo piękny wieczór. Mama kupiła białe buty. Powiem ci "
    "prawdę.",
    "nl": "Mijn broer woont boven de bakker. Wij gaan morgen misschien naar buiten. Vijf bruine"
    " beren eten brood met boter. Wat een mooie blauwe muur. Geef me even je papieren.",
    "ru": "Мама купила белую рыбу. Мой папа любит пить воду. Вы были вчера в парке? Большое вам"
    " спасибо за помощь. Февраль был очень холодным. Пожалуйста, откройте окно. Моя бабушка печёт"
    " вкусные пироги. Мы поедем на поезде через мост. Собака бежит по полю за мальчиком. Поезд"
    " опоздал на пять минут. Вечером пойдём в театр пешком. Эта книга лежит под столом.",
    "hi": "मेरा भाई बाज़ार में फल बेचता है। माँ ने पानी पिया। आप कब वापस आएंगे? बहुत अच्छा मौसम"
    " है। वह पुल के पास बैठा है।",
    "tr": "Babam büyük bir bahçe buldu. Mavi gömlek benim mi? Yarın vapurla adaya gideceğiz. "
    "Pembe çiçekler çok güzel. Bu film biraz uzun, ama fena değil.",
    "sv": "Min mamma bor på en ö. Vi vill ha varmt bröd och smör. Pojken hoppade över muren. "
    "Får jag be om en kopp te? Det blåser mycket på bron.",
    "fi": "Minun äitini puhuu paljon. Vene meni sillan ali. Pöydällä on leipää ja voita. Hyvää "
    "huomenta, mitä kuuluu? Me menemme yhdessä metsään. Pieni poika juoksee pihalla. Ulkona sataa"
    " vettä koko päivän. Työpöydällä on vihreä kynä. Ystäväni asuu vanhassa puutalossa.",
    "ca": "La meva mare compra pa i peix al mercat. Avui fa molt bon temps a la platja. Vull un "
    "got d'aigua freda, si us plau. El nen petit dorm al sofà. Vam pujar a la muntanya amb el "
    "pare. Bona nit i fins demà. Quina por em fa aquest gos tan gros. La pluja mulla les fulles "
    "dels arbres. Posa el llum vermell sobre la taula. Tinc una bicicleta blava i nova.",
    "cs": "Moje maminka koupila bílé boty. Včera večer pršelo a foukal vítr. Prosím, otevři okno,"
    " je tu horko. Babička peče výborné buchty s mákem. Pojedeme vlakem přes most do Prahy. Velký"
    " pes běží po poli. Můj bratr má pět malých koťat. Dobrý večer, jak se vám daří? Ta modrá kniha"
    " leží pod stolem. Hudba hrála celou noc.",
    "mr": "माझा भाऊ बाजारात फळे विकतो. आई पाणी पिते. तू कधी परत येशील? आज हवा खूप छान आहे. माझे बाबा"
    " पुण्याला गेले. मुलगा पुस्तक वाचतो. पाऊस पडत आहे. आम्ही भाकरी आणि भाजी खाल्ली.",
    "te": "మా అమ్మ బజారులో పండ్లు కొన్నది. నాన్న పాలు తాగుతాడు. నువ్వు ఎప్పుడు వస్తావు? ఈ రోజు వాన"
    " పడుతోంది. మా ఊరు చాలా అందంగా ఉంది. బాబు పుస్తకం చదువుతున్నాడు. మేము భోజనం చేశాము.",
}  # fmt: skip


def _clause(rng: random.Random) -> str:
    parts = [rng.choice(_PEOPLE), rng.choice(_VERBS), rng.choice(_THINGS)]
    if rng.random() < 0.7:
        parts.append(rng.choice(_PLACES))
    return " ".join(parts)


def _made_up(rng: random.Random, syllables: int) -> str:
    return "".join(
        rng.choice(_ONSETS)
        + rng.choice(_NUCLEI)
        + (rng.choice(_CODAS) if rng.random() < 0.5 else "")
        for _ in range(syllables)
    )


def sentence(rng: random.Random) -> str:
    """One thing to say in English, of one to six seconds."""
    kind = rng.random()
    if kind < 0.22:
        return rng.choice(_WHOLE)
    if kind < 0.40:
        words = [_made_up(rng, rng.randint(1, 3)) for _ in range(rng.randint(4, 8))]
        if rng.random() < 0.5:
            words[rng.randrange(len(words) - 1)] += ","
        return " ".join(words) + rng.choice(".?!")
    text = _clause(rng)
    if rng.random() < 0.35:
        text += rng.choice((", ", " ")) + rng.choice(_LINKS) + " " + _clause(rng)
    elif rng.random() < 0.2:
        text = rng.choice(_PLACES) + ", " + text
    return text[0].upper() + text[1:] + rng.choice("..?!")


def foreign_text(rng: random.Random, language: str) -> str:
    """One or two sentences in another language, some words changed places."""
    every = [s.strip() for s in _FOREIGN[language].replace("।", ".").split(".") if s.strip()]
    words = " ".join(rng.sample(every, min(2, len(every)))).split()
    if rng.random() < 0.6:
        rng.shuffle(words)
    return " ".join(words[: rng.randint(5, 14)]) + "."


LANGUAGES: tuple[str, ...] = tuple(_FOREIGN)
