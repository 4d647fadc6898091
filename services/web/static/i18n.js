// All texts of the page in Danish and English, and the small functions that apply them.

/** @typedef {"da" | "en"} Language */

const STORAGE_KEY = "geoinfra.language";

/** @type {Record<string, {da: string, en: string}>} */
const catalogue = {
  "page.title": { da: "Før du graver · geoinfra", en: "Before you dig · geoinfra" },
  "page.heading": { da: "Før du graver", en: "Before you dig" },
  "page.purpose": {
    da: "Tegn dit graveområde, og få alle ejeres ledninger samlet i én pakke.",
    en: "Draw your dig area and receive every owner’s lines in one package.",
  },
  "page.skip": { da: "Spring til panelet", en: "Skip to the panel" },
  "page.language": { da: "Sprog", en: "Language" },
  "page.panel": { da: "Vis eller skjul panelet", en: "Show or hide the panel" },
  "page.loading": { da: "Henter kortet …", en: "Loading the map …" },
  "map.label": {
    da: "Kort. Piletaster flytter, plus og minus zoomer, Enter viser hvad der ligger i midten.",
    en: "Map. Arrow keys move, plus and minus zoom, Enter shows what lies at the centre.",
  },
  "map.region": { da: "Kort", en: "Map" },
  "map.zoomIn": { da: "Zoom ind", en: "Zoom in" },
  "map.zoomOut": { da: "Zoom ud", en: "Zoom out" },
  "map.locate": { da: "Vis min position", en: "Show my position" },
  "map.attribution": { da: "Vis kilder", en: "Toggle attribution" },
  "map.close": { da: "Luk", en: "Close" },
  "map.coordinates": { da: "Koordinater i EPSG:25832", en: "Coordinates in EPSG:25832" },
  "map.failed": {
    da: "Kortet kan ikke vises: browseren giver ikke adgang til WebGL. Formularen virker stadig.",
    en: "The map cannot be shown: the browser offers no WebGL. The form still works.",
  },
  "role.label": { da: "Optræd som", en: "Act as" },
  "role.none": { da: "Gæst (kun åbne data)", en: "Visitor (open data only)" },
  "role.excavator": { da: "Graver", en: "Excavator" },
  "role.owner": { da: "Ledningsejer", en: "Utility owner" },
  "role.admin": { da: "Administrator", en: "Administrator" },
  "role.planner": { da: "Planlægger", en: "Planner" },
  "role.authority": { da: "Myndighed", en: "Authority" },
  "role.device": { da: "Måleudstyr", en: "Device" },
  "role.for": { da: "for {name}", en: "for {name}" },
  "token.label": { da: "Adgangsnøgle", en: "Access token" },
  "token.use": { da: "Brug", en: "Use" },
  "search.label": { da: "Søg adresse", en: "Search address" },
  "search.none": { da: "Ingen adresse fundet", en: "No address found" },
  "search.count": { da: "{n} adresser", en: "{n} addresses" },
  "search.count.one": { da: "1 adresse", en: "1 address" },
  "tab.enquiry": { da: "Forespørgsel", en: "Enquiry" },
  "tab.mine": { da: "Mine", en: "Mine" },
  "tab.check": { da: "Kontrol", en: "Check" },
  "tab.layers": { da: "Kortlag", en: "Layers" },
  "kind.heading": { da: "Hvad skal du?", en: "What will you do?" },
  "kind.planned": { da: "Planlagt gravning", en: "Planned dig" },
  "kind.emergency": { da: "Akut reparation", en: "Urgent repair" },
  "kind.planning": { da: "Kun planlægning", en: "Planning only" },
  "kind.planned.text": {
    da: "Du har ikke gravet endnu. Ejerne skal svare; som regel svarer de straks.",
    en: "You have not dug yet. Owners must answer; most do at once.",
  },
  "kind.emergency.text": {
    da: "En skade skal udbedres straks. Du får ejernes telefonnumre med det samme: Ring, før du graver.",
    en: "Damage must be mended at once. You get the owners’ telephone numbers right away: call before you dig.",
  },
  "kind.planning.text": {
    da: "Se, hvem der har ledninger. Ejerne spørges ikke, og svaret må aldrig bruges til at grave efter.",
    en: "See who has lines. Owners are not asked, and the answer must never be used for digging.",
  },
  "filer.label": { da: "Du graver", en: "You dig" },
  "filer.professional": { da: "Erhvervsmæssigt", en: "Professionally" },
  "filer.private": { da: "Privat", en: "Privately" },
  "emergency.heading": { da: "Hvorfor kan det ikke vente?", en: "Why can it not wait?" },
  "ground.danger-to-life": { da: "Fare for menneskeliv", en: "Danger to life" },
  "ground.getting-worse": { da: "Skaden bliver værre", en: "The damage gets worse" },
  "ground.waste": { da: "Betydeligt ressourcespild", en: "Major waste" },
  "ground.environment": { da: "Miljøskade", en: "Environmental harm" },
  "emergency.reason": { da: "Hvad er der sket?", en: "What has happened?" },
  "emergency.reasonHint": { da: "Fx sprunget vandledning", en: "For instance a burst water pipe" },
  "emergency.begun": { da: "Gravearbejdet er begyndt", en: "Digging has begun" },
  "area.heading": { da: "Graveområde", en: "Dig area" },
  "area.polygon": { da: "Tegn polygon", en: "Draw polygon" },
  "area.rectangle": { da: "Tegn rektangel", en: "Draw rectangle" },
  "area.morePolygon": { da: "Tilføj polygon", en: "Add polygon" },
  "area.moreRectangle": { da: "Tilføj rektangel", en: "Add rectangle" },
  "area.clear": { da: "Ryd", en: "Clear" },
  "area.none": { da: "Tegn på kortet, hvor der skal graves.", en: "Draw on the map where you will dig." },
  "area.size": { da: "{area} m²", en: "{area} m²" },
  "area.several": { da: "{n} polygoner", en: "{n} polygons" },
  "area.parts": {
    da: "Sendes som {n} forespørgsler med én fælles pakke, fordi området er over {max} m².",
    en: "Filed as {n} enquiries that share one package, as the area is above {max} m².",
  },
  "area.other": { da: "Uden at tegne", en: "Without drawing" },
  "area.view": { da: "Brug kortudsnittet", en: "Use the map view" },
  "area.around": { da: "Rektangel om {place}", en: "Rectangle around {place}" },
  "area.centre": { da: "kortets midte", en: "the map centre" },
  "area.width": { da: "Bredde (m)", en: "Width (m)" },
  "area.height": { da: "Højde (m)", en: "Height (m)" },
  "area.make": { da: "Lav rektangel", en: "Make rectangle" },
  "area.geojson": { da: "GeoJSON-polygoner (længde, bredde)", en: "GeoJSON polygons (longitude, latitude)" },
  "area.paste": { da: "Brug GeoJSON", en: "Use GeoJSON" },
  "area.badGeojson": {
    da: "Teksten er ikke en GeoJSON-polygon. Indsæt en Polygon, en MultiPolygon eller en Feature med en af dem i længde- og breddegrader.",
    en: "The text is not a GeoJSON polygon. Paste a Polygon, a MultiPolygon, or a Feature with one, in longitude and latitude.",
  },
  "draw.polygon": { da: "Klik på hjørnerne, og slut med Færdig.", en: "Click the corners, then Finish." },
  "draw.rectangle": { da: "Klik to modstående hjørner.", en: "Click two opposite corners." },
  "draw.finish": { da: "Færdig", en: "Finish" },
  "draw.cancel": { da: "Fortryd", en: "Cancel" },
  "form.period": { da: "Graveperiode", en: "Dig period" },
  "form.from": { da: "Fra", en: "From" },
  "form.to": { da: "Til", en: "To" },
  "form.method": { da: "Gravemetode", en: "Dig method" },
  "form.otherMethod": { da: "Beskriv metoden", en: "Describe the method" },
  "form.description": { da: "Beskrivelse", en: "Description" },
  "form.descriptionHint": { da: "Fx ny stikledning", en: "For instance a new service pipe" },
  "more.summary": { da: "Flere oplysninger (valgfrit)", en: "More details (optional)" },
  "more.ownNumber": { da: "Eget nummer", en: "Your own number" },
  "more.depth": { da: "Gravedybde (m)", en: "Dig depth (m)" },
  "more.supplies": { da: "Hvad skal lægges?", en: "What will be laid?" },
  "more.purpose": { da: "Formål (LER’s nummer)", en: "Purpose (LER’s number)" },
  "more.surroundings": { da: "Nævn også ejere ved siden af", en: "Also name owners beside the area" },
  "more.surroundings.0": { da: "Nej", en: "No" },
  "more.surroundings.n": { da: "Inden for {n} m", en: "Within {n} m" },
  "laid.1": { da: "Tele og data", en: "Telecom and data" },
  "laid.2": { da: "Antenne", en: "Cable TV" },
  "laid.3": { da: "Vand", en: "Water" },
  "laid.4": { da: "Varme", en: "Heating" },
  "laid.5": { da: "El", en: "Electricity" },
  "laid.6": { da: "Olie", en: "Oil" },
  "laid.7": { da: "Gas", en: "Gas" },
  "laid.8": { da: "Spildevand", en: "Wastewater" },
  "laid.99": { da: "Andet", en: "Other" },
  "preview.due": { da: "Ejerne svarer senest", en: "Owners answer by" },
  "preview.manual": { da: "manuelt {when}", en: "by hand {when}" },
  "preview.fee": { da: "Gebyr", en: "Fee" },
  "preview.kr": { da: "{kr} kr.", en: "DKK {kr}" },
  "preview.free": { da: "Gratis", en: "Free" },
  "preview.year": { da: "i år {year} af højst {cap}", en: "this year {year} of max. {cap}" },
  "preview.notAsked": {
    da: "Ejerne spørges ikke. Må ikke bruges til at grave.",
    en: "Owners are not asked. Never dig by it.",
  },
  "form.contact": { da: "Kontaktperson", en: "Contact" },
  "form.name": { da: "Navn", en: "Name" },
  "form.email": { da: "E-mail", en: "E-mail" },
  "form.phone": { da: "Telefon", en: "Telephone" },
  "form.submit": { da: "Send forespørgsel", en: "File enquiry" },
  "form.submit.emergency": { da: "Send, og få telefonnumre", en: "File and get telephone numbers" },
  "form.submit.planning": { da: "Send orienterende forespørgsel", en: "File for planning only" },
  "form.sending": { da: "Sender …", en: "Filing …" },
  "form.needArea": { da: "Angiv først et graveområde.", en: "Give a dig area first." },
  "form.needGround": {
    da: "Vælg mindst én grund til, at det ikke kan vente.",
    en: "Choose at least one reason why it cannot wait.",
  },
  "form.needReason": { da: "Skriv, hvad der er sket.", en: "Write what has happened." },
  "form.needContact": {
    da: "Angiv kontaktpersonens navn og en mailadresse eller et telefonnummer.",
    en: "Give the contact’s name, and a mail address or telephone number.",
  },
  "form.needMethod": { da: "Skriv, hvordan der graves.", en: "Write how you will dig." },
  "form.needPeriod": { da: "Graveperioden slutter, før den begynder.", en: "The dig period ends before it begins." },
  "form.needRole": {
    da: "Kun gravere kan sende en forespørgsel.",
    en: "Only excavators can file an enquiry.",
  },
  "form.becomeExcavator": { da: "Optræd som graver", en: "Act as excavator" },
  "check.heading": { da: "Kontrollér en levering", en: "Check a delivery" },
  "check.purpose": {
    da: "Se, om en fil overholder LER’s skema og regler, før du afleverer den. Filen gemmes ikke.",
    en: "See whether a file keeps LER’s schema and rules before you deliver it. The file is not stored.",
  },
  "check.drop": { da: "Slip en fil her", en: "Drop a file here" },
  "check.choose": { da: "Vælg fil", en: "Choose a file" },
  "check.kinds": { da: "LER-svar eller ledningspakke som GML eller zip", en: "LER answer or package as GML or zip" },
  "check.needRole": { da: "Vælg en rolle for at kontrollere en fil.", en: "Choose a role to check a file." },
  "check.becomeOwner": { da: "Optræd som ledningsejer", en: "Act as utility owner" },
  "check.strict": { da: "Streng kontrol", en: "Strict check" },
  "check.strictText": {
    da: "Alt, som LER’s skema afviser, er en fejl. Ellers er småfejl, der kan rettes automatisk, kun advarsler.",
    en: "Whatever LER’s schema refuses is an error. Otherwise small faults that can be mended automatically are warnings.",
  },
  "check.strict.on": { da: "streng kontrol", en: "strict check" },
  "check.strict.off": { da: "tolerant kontrol", en: "tolerant check" },
  "check.progress": { da: "Fremdrift", en: "Progress" },
  "check.sending": { da: "Sender … {percent} %", en: "Sending … {percent}%" },
  "check.reading": { da: "Læser og kontrollerer …", en: "Reading and checking …" },
  "check.cancel": { da: "Annuller", en: "Cancel" },
  "check.refused": { da: "Afvist", en: "Refused" },
  "check.refused.text": {
    da: "Fejlene skal rettes, før filen kan modtages.",
    en: "The errors must be mended before the file can be taken.",
  },
  "check.remarked": { da: "Godkendt", en: "Accepted" },
  "check.remarked.text": {
    da: "Filen kan modtages. Se advarslerne igennem.",
    en: "The file can be taken. Look through the warnings.",
  },
  "check.accepted": { da: "Godkendt", en: "Accepted" },
  "check.accepted.text": { da: "Der er ingen fejl eller advarsler.", en: "There are no errors or warnings." },
  "check.filter": { da: "Vis fund", en: "Show findings" },
  "check.error": { da: "fejl", en: "errors" },
  "check.error.one": { da: "fejl", en: "error" },
  "check.warning": { da: "advarsler", en: "warnings" },
  "check.warning.one": { da: "advarsel", en: "warning" },
  "check.info": { da: "bemærkninger", en: "notes" },
  "check.info.one": { da: "bemærkning", en: "note" },
  "check.hint": { da: "Gør sådan", en: "What to do" },
  "check.line": { da: "Linje {line}", en: "Line {line}" },
  "check.document": { da: "Hele filen", en: "The whole file" },
  "check.expected": { da: "Forventet", en: "Expected" },
  "check.found": { da: "Fundet", en: "Found" },
  "check.show": { da: "Vis på kortet", en: "Show on the map" },
  "check.more": { da: "Vis flere ({n} tilbage)", en: "Show more ({n} left)" },
  "check.cut": {
    da: "Kun {kept} fund er vist; alle er talt med. Ret dem, og kontrollér igen.",
    en: "Only {kept} findings are shown; all are counted. Mend them and check again.",
  },
  "check.download": { da: "Hent rapport", en: "Download report" },
  "check.report": { da: "kontrol", en: "check" },
  "check.new": { da: "Ny fil", en: "Another file" },
  "method.1": { da: "Kædegraver", en: "Chain trencher" },
  "method.2": { da: "Gennempresning", en: "Pipe ramming" },
  "method.3": { da: "Boring m. pælebor", en: "Auger boring" },
  "method.4": { da: "Relining", en: "Relining" },
  "method.5": { da: "Cracking", en: "Pipe bursting" },
  "method.6": { da: "Gravemaskine", en: "Excavator machine" },
  "method.7": { da: "Styret underboring", en: "Directional drilling" },
  "method.8": { da: "Plov", en: "Plough" },
  "method.9": { da: "Ramning", en: "Pile driving" },
  "method.10": { da: "Sprængning", en: "Blasting" },
  "method.99": { da: "Andet", en: "Other" },
  "status.heading": { da: "Forespørgsel {number}", en: "Enquiry {number}" },
  "status.filed": { da: "Sendt", en: "Filed" },
  "status.answered": { da: "Besvaret", en: "Answered" },
  "status.partial": { da: "Delvis komplet", en: "Partly complete" },
  "status.complete": { da: "Komplet", en: "Complete" },
  "status.expired": { da: "Udløbet", en: "Expired" },
  "status.progress": { da: "{done} af {total} ejere har svaret", en: "{done} of {total} owners have answered" },
  "status.waiting": { da: "Pakken samles …", en: "Putting the package together …" },
  "status.slow": {
    da: "Pakken er længere undervejs end normalt. Du kan lukke siden og finde den igen under Mine.",
    en: "The package takes longer than usual. You may close the page and find it again under Mine.",
  },
  "status.packageFailed": {
    da: "Pakken kunne ikke dannes. Send forespørgslen igen, eller kontakt driften.",
    en: "The package could not be made. File the enquiry again, or contact the operator.",
  },
  "status.ready": { da: "Pakken er klar", en: "The package is ready" },
  "status.readyAgain": { da: "Pakke {n} er klar", en: "Package {n} is ready" },
  "status.noOwners": { da: "Ingen ejere har ledninger i nærheden.", en: "No owner has lines nearby." },
  "status.features": { da: "{n} objekter", en: "{n} features" },
  "status.features.one": { da: "1 objekt", en: "1 feature" },
  "status.packageSize": { da: "{n} objekter · {size}", en: "{n} features · {size}" },
  "status.download": { da: "Hent pakke", en: "Download package" },
  "status.downloading": { da: "Henter …", en: "Preparing …" },
  "status.hazard": {
    da: "Meget farlige ledninger i kortudsnittet: {n}. Kontakt ejeren, før du graver.",
    en: "Very dangerous lines in the map view: {n}. Contact the owner before you dig.",
  },
  "status.noHazard": {
    da: "Ingen meget farlige ledninger i kortudsnittet.",
    en: "No very dangerous lines in the map view.",
  },
  "status.show": { da: "Vis på kort", en: "Show on map" },
  "status.new": { da: "Ny forespørgsel", en: "New enquiry" },
  "status.lost": { da: "Forbindelsen blev afbrudt. Prøver igen …", en: "The connection was lost. Trying again …" },
  "status.period": { da: "{from} – {to}", en: "{from} – {to}" },
  "status.validTo": { da: "gælder til {date}", en: "valid until {date}" },
  "status.call": { da: "Ring til ejerne, før du graver", en: "Call the owners before you dig" },
  "status.noPhone": { da: "Intet telefonnummer registreret", en: "No telephone registered" },
  "status.phone": { da: "Ring {phone}", en: "Call {phone}" },
  "status.owners": { da: "Ejere", en: "Owners" },
  "status.ownersNotAsked": { da: "Ejere i området (ikke spurgt)", en: "Owners in the area (not asked)" },
  "status.beside": { da: "Ejere ved siden af, inden for {n} m", en: "Owners beside the area, within {n} m" },
  "status.besideText": {
    da: "Ikke spurgt. De har intet i selve graveområdet.",
    en: "Not asked. They have nothing in the dig area itself.",
  },
  "status.open": {
    da: "{n} ejere mangler at svare. Grav ikke, før alle har svaret.",
    en: "{n} owners have not answered yet. Do not dig before all have.",
  },
  "status.open.one": {
    da: "1 ejer mangler at svare. Grav ikke, før alle har svaret.",
    en: "1 owner has not answered yet. Do not dig before all have.",
  },
  "status.openCalled": { da: "{n} ejere mangler at svare.", en: "{n} owners have not answered yet." },
  "status.openCalled.one": { da: "1 ejer mangler at svare.", en: "1 owner has not answered yet." },
  "status.lateHeading": { da: "Forsinket: kontakt ejeren selv", en: "Late: contact the owner yourself" },
  "status.all": { da: "Alle {n} ejere har svaret.", en: "All {n} owners have answered." },
  "status.all.one": { da: "Ejeren har svaret.", en: "The owner has answered." },
  "status.never": {
    da: "Kun til planlægning. Må aldrig bruges til at grave.",
    en: "For planning only. Never to be used for digging.",
  },
  "validity.not-begun": {
    da: "Gælder i graveperioden, til og med {date}",
    en: "Valid in the dig period, to and including {date}",
  },
  "validity.in-force": { da: "Gælder til og med {date}", en: "Valid to and including {date}" },
  "validity.information-expired": {
    da: "Oplysninger er udløbet: {owners}. Gensend forespørgslen.",
    en: "Information has expired: {owners}. Send the enquiry again.",
  },
  "validity.expired": { da: "Udløb {date}. Grav ikke efter den.", en: "Expired {date}. Do not dig by it." },
  "clock.running": { da: "{span} tilbage, frist {when}", en: "{span} left, due {when}" },
  "clock.paused": { da: "{span} tilbage i arbejdstiden, frist {when}", en: "{span} of working time left, due {when}" },
  "clock.overdue": { da: "Forsinket siden {when}", en: "Late since {when}" },
  "clock.in-time": { da: "Besvaret til tiden", en: "Answered in time" },
  "clock.late": { da: "Besvaret for sent", en: "Answered late" },
  "span.minutes": { da: "{m} min", en: "{m} min" },
  "span.hours": { da: "{h} t {m} min", en: "{h} h {m} min" },
  "owner.expected": { da: "Ventes {when}", en: "Expected {when}" },
  "owner.corrected": { da: "rettet {n} gange", en: "corrected {n} times" },
  "owner.corrected.one": { da: "rettet 1 gang", en: "corrected once" },
  "resend.text": { da: "Kan sendes igen gratis til og med {date}", en: "Can be sent again free until {date}" },
  "resend.button": { da: "Send igen", en: "Send again" },
  "resend.sure": { da: "Ja, spørg alle ejere igen", en: "Yes, ask all owners again" },
  "resend.of": { da: "Gensendt. Den første var", en: "Sent again. The first was" },
  "parts.heading": { da: "Dele", en: "Parts" },
  "parts.part": { da: "Del {part}", en: "Part {part}" },
  "status.feeLine": { da: "Gebyr {fee}", en: "Fee {fee}" },
  "differences.heading": { da: "Hvad er ændret?", en: "What changed?" },
  "differences.since": { da: "Siden pakke", en: "Since package" },
  "differences.show": { da: "Vis ændringer", en: "Show changes" },
  "differences.hide": { da: "Skjul", en: "Hide" },
  "differences.onMap": { da: "Vis på kortet", en: "Show on the map" },
  "differences.none": { da: "Intet er ændret.", en: "Nothing has changed." },
  "differences.added": { da: "Nye", en: "New" },
  "differences.removed": { da: "Fjernet", en: "Removed" },
  "differences.changed": { da: "Ændret", en: "Changed" },
  "differences.legend": { da: "Signaturer for ændringer", en: "Signs of changes" },
  "differences.moved": { da: "flyttet {m} m", en: "moved {m} m" },
  "differences.raised": { da: "højde ændret {m} m", en: "height changed {m} m" },
  "differences.reshaped": { da: "ny geometri", en: "new geometry" },
  "differences.nothing": { da: "(intet)", en: "(none)" },
  "differences.answer": { da: "{before} → {after}", en: "{before} → {after}" },
  "differences.corrected": { da: "Rettet svar", en: "Corrected answer" },
  "differences.more": { da: "Vis flere ({n} tilbage)", en: "Show more ({n} left)" },
  "sandbox.title": { da: "TESTMILJØ", en: "TEST ENVIRONMENT" },
  "sandbox.text": { da: "Intet her er rigtigt. Grav aldrig efter det.", en: "Nothing here is real. Never dig by it." },
  "owner.delivered": { da: "Udleveret", en: "Delivered" },
  "owner.no-lines": { da: "Ingen ledninger", en: "No lines" },
  "owner.waiting": { da: "Afventer", en: "Waiting" },
  "owner.withheld": { da: "Udleveres ikke", en: "Withheld" },
  "owner.manual": { da: "Manuel behandling", en: "Handled by hand" },
  "owner.pointing-out": { da: "Påvisning", en: "To be pointed out" },
  "owner.pointing-out-delivered": { da: "Udleveret, påvisning", en: "Delivered, to be pointed out" },
  "owner.direct": { da: "Sendes med mail", en: "Sent by mail" },
  "owner.not-asked": { da: "Ikke spurgt", en: "Not asked" },
  "owner.expired": { da: "udløbet", en: "expired" },
  "mine.more": { da: "Vis ældre", en: "Show older" },
  "mine.empty": { da: "Ingen forespørgsler endnu.", en: "No enquiries yet." },
  "mine.parts": { da: "{n} dele", en: "{n} parts" },
  "mine.late": { da: "{n} svar er forsinket", en: "{n} answers are late" },
  "mine.late.one": { da: "1 svar er forsinket", en: "1 answer is late" },
  "mine.needRole": {
    da: "Forespørgsler vises for gravere, ledningsejere og administratorer.",
    en: "Enquiries are shown to excavators, utility owners and administrators.",
  },
  "layers.protected": { da: "kun efter forespørgsel", en: "by enquiry only" },
  "layers.hazard": { da: "Meget farlig", en: "Very dangerous" },
  "supply.electricity": { da: "El", en: "Electricity" },
  "supply.telecom": { da: "Telekommunikation", en: "Telecom" },
  "supply.water": { da: "Vand", en: "Water" },
  "supply.sewer": { da: "Afløb", en: "Sewer" },
  "supply.gas": { da: "Gas", en: "Gas" },
  "supply.district-heating": { da: "Fjernvarme", en: "District heating" },
  "supply.oil": { da: "Olie", en: "Oil" },
  "supply.duct": { da: "Føringsrør", en: "Duct" },
  "supply.other": { da: "Andet", en: "Other" },
  "supply.unknown": { da: "Ukendt forsyningsart", en: "Unknown supply" },
  "layers.sources": { da: "Kilder", en: "Sources" },
  "feature.feature_class": { da: "Objekttype", en: "Feature class" },
  "feature.supply": { da: "Forsyningsart", en: "Supply" },
  "feature.type": { da: "Type", en: "Type" },
  "feature.status": { da: "Driftsstatus", en: "Status" },
  "feature.hazard": { da: "Fareklasse", en: "Hazard class" },
  "feature.accuracy_class": { da: "Nøjagtighed", en: "Accuracy" },
  "feature.vertical_accuracy_class": { da: "Nøjagtighed i højden", en: "Vertical accuracy" },
  "feature.drawing_method": { da: "Indtegningsmetode", en: "Drawing method" },
  "feature.level": { da: "Niveau", en: "Level" },
  "feature.diameter_mm": { da: "Diameter (mm)", en: "Diameter (mm)" },
  "feature.depth_mm": { da: "Vejledende dybde (mm)", en: "Indicative depth (mm)" },
  "feature.voltage_kv": { da: "Spænding (kV)", en: "Voltage (kV)" },
  "feature.established": { da: "Etableret", en: "Established" },
  "feature.owner_cvr": { da: "Ejer", en: "Owner" },
  "feature.gml_id": { da: "Ejerens id", en: "Owner’s id" },
  "feature.none": { da: "Her ligger ingen kendte ledninger.", en: "No known lines lie here." },
  "error.network": {
    da: "Serveren svarer ikke. Kontrollér forbindelsen, og prøv igen.",
    en: "The server does not answer. Check the connection and try again.",
  },
  "error.unexpected": { da: "Serveren svarede uventet ({status}).", en: "The server answered unexpectedly ({status})." },
  "error.authentication": {
    da: "Du er ikke logget ind. Vælg en rolle eller angiv en adgangsnøgle.",
    en: "You are not signed in. Choose a role or give an access token.",
  },
};

/** @returns {Language} */
function preferred() {
  const stored = localStorage.getItem(STORAGE_KEY);
  if (stored === "da" || stored === "en") return stored;
  const danish = navigator.languages.find((tag) => /^(da|en)\b/i.test(tag));
  return danish?.toLowerCase().startsWith("en") ? "en" : "da";
}

/** @type {Language} */
let current = preferred();

/** @returns {Language} the language shown now */
export const language = () => current;

/**
 * Return the text for `key` in the current language, with `{name}` replaced from `values`;
 * the text `key.one` where there is one and `n` is 1.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const entry = (values.n === 1 && catalogue[`${key}.one`]) || catalogue[key];
  if (!entry) throw new Error(`no text for ${key}`);
  return entry[current].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * Return the text for `key`, or `otherwise` where the catalogue has none (values that come from data).
 * @param {string} key
 * @param {string} otherwise
 */
export const tOr = (key, otherwise) => (Object.hasOwn(catalogue, key) ? t(key) : otherwise);

/** @param {number} value @param {number} [digits] */
export const formatNumber = (value, digits = 0) =>
  new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value);

const locale = () => (current === "da" ? "da-DK" : "en-GB");

/** @param {string} isoDate */
export const formatDate = (isoDate) =>
  new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeZone: "Europe/Copenhagen" }).format(new Date(isoDate));

/** A moment in Danish time, with its day and without its year. @param {string} isoMoment */
export const formatMoment = (isoMoment) => new Intl.DateTimeFormat(locale(), {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "Europe/Copenhagen",
}).format(new Date(isoMoment));

/** @param {number} minutes */
export function formatSpan(minutes) {
  const [h, m] = [Math.floor(minutes / 60), minutes % 60];
  return h ? t("span.hours", { h, m }) : t("span.minutes", { m });
}

/** An amount in kroner, with øre where there are any. @param {string} amount */
export const formatKroner = (amount) => new Intl.NumberFormat(locale(), {
  minimumFractionDigits: Number.isInteger(Number(amount)) ? 0 : 2, maximumFractionDigits: 2,
}).format(Number(amount));

/** @param {number} bytes */
export function formatBytes(bytes) {
  if (bytes < 1_000_000) return `${formatNumber(bytes / 1000)} kB`;
  return `${formatNumber(bytes / 1_000_000, 1)} MB`;
}

/**
 * Write the texts of every element below `root` that names one in a `data-i18n*` attribute.
 * @param {ParentNode} [root]
 */
export function applyTexts(root = document) {
  for (const element of root.querySelectorAll("[data-i18n]")) {
    element.textContent = t(/** @type {HTMLElement} */ (element).dataset.i18n ?? "");
  }
  for (const element of root.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(/** @type {HTMLElement} */ (element).dataset.i18nLabel ?? ""));
  }
  for (const element of root.querySelectorAll("[data-i18n-placeholder]")) {
    element.setAttribute("placeholder", t(/** @type {HTMLElement} */ (element).dataset.i18nPlaceholder ?? ""));
  }
}

/** @type {Set<() => void>} */
const listeners = new Set();

/** Call `listener` after every change of language. @param {() => void} listener */
export const onLanguage = (listener) => void listeners.add(listener);

/** Show the page in `next` and remember it. @param {Language} next */
export function setLanguage(next) {
  current = next;
  localStorage.setItem(STORAGE_KEY, next);
  showLanguage();
  for (const listener of listeners) listener();
}

/** Apply the current language to the document. */
export function showLanguage() {
  document.documentElement.lang = current;
  document.title = t("page.title");
  applyTexts();
}
