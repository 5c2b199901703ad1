"""The phone sets of Festival's voices, mapped to our inventory.

Names as `PhoneSet.description` of each voice lists them. What has no place in our inventory goes to
the phone whose lips look the same: a retroflex is a `t`, a palatal nasal an `n`.
"""

from __future__ import annotations

from visavis.finetune.speech.phones import Phone, from_festival

__all__ = ["PHONESETS", "from_phoneset"]


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


# Phones that a set writes as we do are not named again.
_RADIO = _pairs("axr=er dx=d el=l em=m en=n nx=n hv=hh")
_CATALAN = _pairs(
    "a=aa a1=aa e=eh e1=eh E=eh E1=eh i=iy i1=iy j=y J=n L=l o=oh o1=oh O=ao O1=ao r=rr rr=rr S=sh "
    "u=uw u1=uw Z=zh _=pau"
)
_CZECH = _pairs(
    "_=hh a=aa a:=aa c=s c~=ch ch=kh d~=d dz=z dz~=jh e=eh e:=eh h=hh i=ih i:=iy j=y n*=ng n~=n "
    "o=oh o:=oh r=rr r~=rr r~*=rr s~=sh t~=t u=uh u:=uw z~=zh"
)
_FINNISH = _pairs(
    "a=aa e=eh i=iy o=oh u=uw y=yy @=ae 7=oe &=ax h=hh T=th S=sh N=ng L=l r=rr j=y D=dh Z=zh ##=pau"
)
# Of Hindi, Marathi and Telugu: a is short, as in "but"; th and dh are dental stops.
_INDIC = _pairs(
    "a=ah eh=eh ee=eh ay=ae oo=oh oh=oh aw=ao @=ah T=t D=d N=n th=t dh=d r=rr L=l R=rr j=jh h=hh "
    "ksh=sh sri=s x=kh kh=k gh=g td=t tth=t ddh=d bh=b zh=zh"
)
_ITALIAN = _pairs(
    "i=iy e=eh E=eh a=aa o=oh O=ao u=uw i1=iy e1=eh E1=eh a1=aa o1=oh O1=ao u1=uw j=y S=sh Z=zh "
    "ts=s tS=ch dz=z dZ=jh J=n nf=v L=l r=rr"
)
_RUSSIAN = _pairs(
    "ii=iy yy=ih uu=uw ee=eh oo=ao aa=aa a=ah e=ih i=ih y=ix u=uh ae=eh ay=ih ur=uh pp=p bb=b "
    "tt=t dd=d kk=k gg=g c=s ch=ch ff=f vv=v ss=s zz=z sch=sh h=kh hh=kh mm=m nn=n ll=l r=rr "
    "rr=rr j=y"
)

PHONESETS: dict[str, dict[str, str]] = {
    "en": _RADIO,
    "ca": _CATALAN,
    "cs": _CZECH,
    "fi": _FINNISH,
    "hi": _INDIC,
    "mr": _INDIC,
    "te": _INDIC,
    "it": _ITALIAN,
    "ru": _RUSSIAN,
}

# Sets whose voices mark the stressed syllable; of the others only lengths tell.
_STRESSED = frozenset({"en", "ca", "fi", "it", "ru"})


def from_phoneset(
    language: str, name: str, start: float, end: float, mark: str, before: str = ""
) -> list[Phone]:
    """One segment of a Festival voice.

    Args:
        language: of the voice.
        name: the segment's, in the voice's phone set.
        start, end: seconds.
        mark: the syllable's stress as Festival prints it, "0" where there is none.
        before: name (ours) of the phone before.
    """
    table = PHONESETS[language]
    ours = table.get(name) or (table.get(name.rstrip(":")) if language == "fi" else None) or name
    if language == "fi":
        ours = ours.rstrip(":")
    if language == "ca" and name == "b" and before not in {"", "pau", "m", "p", "b"}:
        ours = "bh"  # Catalan b is shut after a pause or a nasal only.
    if ours in {"#", "h#", "brth"}:
        ours = "pau"
    if language not in _STRESSED:
        return from_festival(ours, start, end, None)
    stress = 0.3 + 0.7 * (mark not in {"0", ""})
    if ours in {"ax", "ix"}:
        stress = 0.0
    return from_festival(ours, start, end, stress)
