"""Given names so common in Norway that, standing last, they tell of a name that is turned round."""

_COMMON = """
aksel alexander alf amalie amanda anders andre andreas andré ane anette anita anja ann anna anne annelise anniken ante
arild arne arnt arvid asbjørn aslak asle astri astrid atle aud audun beate benjamin bente berit biret birgit birgitte
bjarne bjørg bjørn bjørnar bodil borghild brit brita britt camilla carina cathrine cecilie charlotte christian christina
christine christopher dag dagfinn daniel daniella david ebba edel edvard egil einar eirik eivind elias elin elisabeth
elise ella elle ellen elsa else emil emilie emma endre erik erika erling espen eva even fredrik frida fritjof frode gard
geir georg gerd gro gudrun gunhild gunn gunnar gunvor guri gøran hanna hanne hans harald hege heidi helene helga helge
henriette henrik herman hilde hilmar håkon håvard ida ina inga inge ingeborg inger ingrid ingunn ingvild irene isabella
iselin ivar iver iŋgá jan jane janne jenny jens jim joakim johan johanne johannes john jon jonas jonathan jorun jorunn
josefine jovna julie jørgen jørn kai karen kari karin karina karl kaspar katarina katrine kenneth ketil kim kirsten
kjell kjersti kjetil klara knut kristian kristin kristina kristine kristoffer kåre laila lars lasse leif lena lene leon
liam lillian linda line linn linnea lisbeth lise liv lucas ludvig mads magne magnhild magnus maja malin margareth margit
margrethe mari maria marianne marie marit marius markus marte martin mathias mathilde merete mette mia mikael mikkel
mohamed mohammed mona monica morten máhtte máret niillas nikolai nils nina nora oda odd oddvar ola olaf olav ole olga
oline oliver olve oskar ottar otto paul peder per petra petter philip pål ragnar ragnhild randi rasmus rebecca reidar
reidun renate risten rita roald roar robert roger rolf ronny roy rune ruth sander sara selma sigrid sigurd silje simen
siri sissel siv sofia sofie solveig sondre stein steinar stian stig stine sunniva sunná susanne svein sven svend synne
synnøve terje thea therese thomas thor thore tobias tom tommy tonje tor torbjørn tord tore torgeir toril torill torleif
torstein torunn tove trine trond trude trygve turid tuva ulf unni vegard vera vibeke vidar viktor vilde wenche william
willy ylva yngve yvonne áile ánde ánne åge åse åshild åsmund øivind øystein øyvind
"""

GIVEN_NAMES = frozenset(_COMMON.split())
