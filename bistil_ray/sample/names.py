"""Names of persons, places and organisations, shared by the four languages as names are in real text.

Persons and companies are made up of parts, so that no sentence of the example speaks of a real one.
"""

from __future__ import annotations

import zlib


def is_evaluation_name(name: str) -> bool:
    """Whether a name is kept for the validation and test sets, so that no training set holds it.

    The choice hangs on the name alone: a surname that is also a town falls on the same side in both roles.
    """
    return zlib.crc32(name.encode("utf-8")) % 2 == 1


MEN = tuple(
    "Musa Ibrahim Abdullahi Sani Bello Aminu Yusuf Umar Usman Kabiru Garba Nasiru Adewale Babatunde Olumide Femi "
    "Tunde Segun Kayode Gbenga Rotimi Kamau Otieno Kiprono Mwangi Juma Baraka Hamisi Rashidi Salim Emmanuel John "
    "Peter David Samuel Joseph Daniel Paul James Michael Kwame Kofi Chinedu Emeka Obinna Tesfaye Abebe Dawit Habtamu "
    "Jean Pierre Carlos Ahmed Hassan Ali Omar Idris Tariq Stephen Patrick Moses Jacob Isaac Elijah Simon Thabo Sipho "
    "Tendai".split()
)

WOMEN = tuple(
    "Aisha Fatima Zainab Hauwa Maryam Amina Halima Rakiya Binta Safiya Yetunde Funke Bolanle Folake Titilayo Ronke "
    "Omolara Wanjiku Achieng Njeri Akinyi Chebet Wambui Neema Zawadi Rehema Mwanaisha Subira Grace Mary Sarah Ruth "
    "Esther Rebecca Elizabeth Victoria Florence Janet Ngozi Chioma Adaeze Ifeoma Abena Ama Akosua Selam Hiwot Tigist "
    "Nomsa Thandiwe Lerato Marie Chantal Rosa Khadija Asma Leyla Hodan Joyce Agnes Naomi Miriam Deborah Dorcas "
    "Lydia".split()
)

FAMILIES = tuple(
    "Adeyemi Ogunleye Akinola Balogun Adebayo Oladipo Fashola Ajayi Olatunji Adeleke Ogundipe Akintola Mohammed "
    "Abubakar Danjuma Shehu Lawal Gambo Dantata Maikudi Kano Gusau Kariuki Njoroge Odhiambo Ochieng Cheruiyot Mutua "
    "Musyoka Wafula Barasa Maina Gitau Kimani Koech Rotich Makau Mushi Massawe Kimaro Lyimo Mwakyusa Shayo Mollel "
    "Ngowi Mrema Swai Komba Haule Okello Mugisha Byaruhanga Nsubuga Ssempa Kato Tumusiime Habimana Uwimana Mensah "
    "Owusu Boateng Asante Appiah Okafor Nwosu Eze Okonkwo Chukwu Bekele Tadesse Haile Girma Alemu Dlamini Nkosi "
    "Khumalo Ndlovu Moyo Banda Phiri Diallo Traore Keita Toure Sow Ndiaye Smith Brown Johnson Williams Wilson Taylor "
    "Garcia Silva Mueller Dubois Rossi Chen Kumar Washington Lincoln Farah Warsame Abdi Jama".split()
)

CITIES = (
    *"Nairobi Mombasa Kisumu Nakuru Eldoret Thika Garissa Machakos Malindi Lamu Dodoma Arusha Mwanza Mbeya Morogoro "
    "Tanga Moshi Iringa Tabora Kigoma Bukoba Zanzibar Kampala Entebbe Gulu Jinja Mbarara Kigali Butare Bujumbura "
    "Gitega Lagos Abuja Ibadan Kano Kaduna Zaria Katsina Sokoto Maiduguri Bauchi Gombe Jos Minna Ilorin Abeokuta Akure "
    "Osogbo Ondo Ogbomoso Warri Enugu Onitsha Owerri Calabar Uyo Aba Makurdi Lokoja Yola Gusau Dutse Damaturu "
    "Jalingo Niamey Zinder Maradi Agadez Cotonou Lome Accra Kumasi Tamale Abidjan Bouake Bamako Dakar Banjul Conakry "
    "Freetown Monrovia Ouagadougou Douala Yaounde Libreville Kinshasa Goma Lubumbashi Kisangani Luanda Lusaka Ndola "
    "Kitwe Harare Bulawayo Lilongwe Blantyre Maputo Beira Windhoek Gaborone Pretoria Durban Johannesburg Mekelle "
    "Gondar Mogadishu Hargeisa Asmara Khartoum Juba Cairo Alexandria Tripoli Tunis Algiers Rabat London Paris Berlin "
    "Rome Madrid Beijing Delhi Tokyo Dubai Geneva Victoria Washington Lincoln".split(),
    "Dar es Salaam",
    "Ijebu Ode",
    "Benin City",
    "Port Harcourt",
    "Porto Novo",
    "Cape Coast",
    "Cape Town",
    "Addis Ababa",
    "New York",
)

LANDS = (
    *"Kenya Tanzania Uganda Rwanda Burundi Nigeria Niger Ghana Benin Togo Cameroon Chad Mali Senegal Ethiopia Somalia "
    "Sudan Egypt Libya Tunisia Algeria Morocco Congo Zambia Zimbabwe Malawi Mozambique Angola Namibia Botswana Gambia "
    "Guinea Liberia Gabon France Germany England America India China Japan Brazil Italy Spain Portugal Russia "
    "Canada".split(),
    "South Sudan",
    "South Africa",
    "Sierra Leone",
    "Burkina Faso",
)

COMPANY_NAMES = tuple(
    "Savanna Baobab Zuri Jabari Sahel Kilima Simba Tembo Nyota Upendo Amani Umoja Harambee Tsavo Rift Coral Delta "
    "Oasis Acacia Sunrise Crown Heritage Pioneer Unity Summit Horizon Eagle Falcon Gazelle Marula Ebony Ivory Amber "
    "Sapphire Orion Atlas Nova Apex Vertex Meridian Equator Monsoon Lagoon Kusini Karibu Imara Faraja Tumaini Arewa "
    "Zumunci Nagarta Gaskiya Alheri Ifelodun Irepodun Olokun Imole Mwanga".split()
)

COMPANY_KINDS = tuple(
    "Bank Foods Motors Airways Telecom Radio Insurance Press Energy Cement Textiles Holdings Group Limited College "
    "Academy Institute Union Network Logistics Mills Times Television Trust".split()
)

ONE_WORD_COMPANIES = tuple(
    "Safitel Ekofin Naijatel Agrovet Medikea Tanpower Ugasteel Kencargo Ghanafin Sahelnet Afrolink Zantours Lakoil "
    "Ekoplast Nilotech Maziko Solarix Farmika Bizmart Kasuwanet Ojapay Sokopay Gidamart Ilepay UNWA AFCO ECAB NAFCO "
    "PANAFRI OAMU CEDA ICDA EASB KENCO TANESA GHANEX ZAMCO SOMALTEL ETHIOFIN BURUNDEX".split()
)

CLUB_KINDS = tuple("Stars United Rovers Warriors Lions Rangers Wanderers Heroes Eagles Tigers Giants FC".split())
