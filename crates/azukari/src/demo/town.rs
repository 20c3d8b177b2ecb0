//! The running town: platform, three gateways, the service, and everybody's phones.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hpki::crl::Crl;
use hpki::path::Anchor;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use town::network::Network;
use town::people::{FACILITIES, Facility, SANDBOX};
use town::phone::Phone;
use town::service::{Service, Trust};

use super::home::Home;
use super::jpki::Office;
use super::prepare::{Citizen, Founded, found, witness_file};
use super::rack::Rack;
use super::timeline::Timeline;
use super::walk::{Door, link};
use super::{network, papers, service};
use crate::clock::now;
use crate::config::{GatewayConfig, PlatformConfig, WitnessConfig};
use crate::http;
use crate::http::client::Client;
use crate::http::tap::Tap;
use crate::platform::{self, Platform};
use crate::runtime::Stop;

/// Each of the three authorities runs a witness.
const WITNESSES: [&str; 3] = ["jma", "jpa", "medis"];
/// How long the town waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A person and her phone.
pub(crate) struct Resident {
    pub(crate) citizen: Citizen,
    pub(crate) phone: Phone,
}

/// A running town.
pub(crate) struct Town {
    pub(crate) founded: Founded,
    pub(crate) residents: Vec<Resident>,
    /// Whose keys sign hashes, where the town has them; without a phone, who is to link one.
    pub(crate) writers: Vec<(Citizen, Option<Phone>)>,
    pub(crate) doors: Vec<Door>,
    /// The platform as phones reach it.
    pub(crate) platform: Client,
    pub(crate) service: Client,
    pub(crate) service_url: String,
    /// The regional health network, for browsers.
    pub(crate) network_url: String,
    /// The town's cards, where they are in readers of this machine.
    pub(crate) rack: Option<Rack>,
    /// A tap on every line that the page tells about.
    pub(crate) tap: Tap,
    running: Option<Arc<Platform>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    children: Vec<Child>,
}

async fn loopback() -> Result<TcpListener, Stop> {
    Ok(http::server::bind(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).await?)
}

/// The office of My Number Cards, and the platform's way to it: it is asked at each use of a card.
async fn jpki_office(founded: &Founded) -> Result<(Office, TcpListener), Stop> {
    let cards = founded.home.join("cards");
    crate::files::private_folder(&cards)?;
    let office = Office::found(&cards)?;
    let listener = loopback().await?;
    let (at, file) = (listener.local_addr()?, founded.platform_config());
    let (authority, ask) = (Office::AUTHORITY, Office::ASK);
    let table = format!(
        "\n# list = \"http://{at}{list}\" でも (or the list)\n[platform.jpki]\nauthority = \"cards/{authority}\"\nocsp = \"http://{at}{ask}\"\n",
        list = Office::LIST
    );
    let written = std::fs::read_to_string(&file)?;
    std::fs::write(&file, written + &table)?;
    Ok((office, listener))
}

impl Town {
    /// Founds a town in the home and opens everything in it.
    pub(crate) async fn open(
        home: &Home,
        arguments: &super::DemoArguments,
        timeline: &mut Timeline,
    ) -> Result<Self, Stop> {
        let separate = arguments.separate;
        let platform_listener = loopback().await?;
        let mut gateways = Vec::new();
        for facility in FACILITIES {
            gateways.push((facility, loopback().await?));
        }
        let addresses = gateways
            .iter()
            .map(|(facility, listener)| Ok((*facility, listener.local_addr()?)))
            .collect::<Result<Vec<_>, std::io::Error>>()?;
        let at = platform_listener.local_addr()?;
        let mut witness_listeners = Vec::new();
        let mut witnesses = Vec::new();
        for authority in WITNESSES {
            let listener = loopback().await?;
            witnesses.push((authority, listener.local_addr()?));
            witness_listeners.push((authority, listener));
        }
        let founded = found(&home.town, at, &addresses, &witnesses, arguments, timeline).await?;
        let network = network::found(&founded)?;
        let office = match arguments.reader {
            true => Some(jpki_office(&founded).await?),
            false => None,
        };
        let writers = match arguments.csc {
            true => super::letters::found(&founded, timeline).await?,
            false => Vec::new(),
        };

        let (stop, stopped) = watch::channel(false);
        let tap = Tap::default();
        let mut town = Self {
            platform: founded.client(None)?.tapped(tap.line("phone", "")),
            tap,
            service: Client::new("http://127.0.0.1:1", None, PATIENCE)?,
            service_url: String::new(),
            network_url: String::new(),
            rack: None,
            residents: Vec::new(),
            writers: Vec::new(),
            doors: Vec::new(),
            running: None,
            stop,
            tasks: Vec::new(),
            children: Vec::new(),
            founded,
        };
        if let Some((office, listener)) = office {
            let office = Arc::new(office);
            town.rack = Some(Rack::found(&town.founded.home, Arc::clone(&office))?);
            let router = super::jpki::router(office);
            let serving = http::server::serve(listener, None, router, stopped.clone());
            town.tasks.push(tokio::spawn(serving));
            timeline.done(
                "町",
                "カードを仮想リーダーに入れ、公的個人認証の窓口を開く",
                "cards are in the readers; the JPKI office is open",
                "pcscd (vpcd)",
            );
        }
        for (authority, listener) in witness_listeners {
            town.open_witness(authority, separate, listener, &stopped).await?;
        }
        town.open_platform(separate, platform_listener, &stopped).await?;
        for (facility, listener) in gateways {
            town.open_gateway(facility, separate, listener, &stopped).await?;
        }
        town.open_service(&stopped).await?;
        town.open_network(network, &stopped).await?;
        let what = if separate { "（別々のプロセスで）" } else { "" };
        timeline.done(
            "町",
            &format!("基盤・病院・薬局・管理サービスを開く{what}"),
            "platform, gateways and service are open",
            format!("{}  医療連携ネット {}", town.founded.url, town.network_url),
        );
        for citizen in town.founded.citizens.clone() {
            let label = format!("{}の電話", citizen.person.display_ja());
            let mut phone = Phone::new(&label, &town.founded.url)?;
            link(&town.platform, &mut phone, &citizen.sheet, citizen.person).await?;
            timeline.done(
                &citizen.person.display_ja(),
                "初期登録用 QR と生年月日で電話を紐付け",
                "phone linked (WebAuthn, verified twice)",
                "",
            );
            town.residents.push(Resident { citizen, phone });
        }
        super::letters::link_first(&mut town, writers).await?;
        Ok(town)
    }

    async fn open_witness(
        &mut self,
        authority: &str,
        separate: bool,
        listener: TcpListener,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), Stop> {
        let file = self.founded.home.join(witness_file(authority));
        if separate {
            let address = listener.local_addr()?;
            drop(listener);
            return self.spawn("witness", &file, address).await;
        }
        let witness = crate::witness::open(&WitnessConfig::load(&file)?)?;
        let router = crate::witness::router(Arc::new(witness));
        let serving = http::server::serve(listener, None, router, stopped.clone());
        self.tasks.push(tokio::spawn(serving));
        Ok(())
    }

    async fn open_platform(
        &mut self,
        separate: bool,
        listener: TcpListener,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), Stop> {
        let file = self.founded.platform_config();
        if separate {
            let address = listener.local_addr()?;
            drop(listener);
            self.spawn("serve", &file, address).await?;
        } else {
            let config = PlatformConfig::load(&file)?;
            let tls =
                http::tls::server(&config.tls_certificate, &config.tls_key, &config.facility_ca)?;
            let platform = Arc::new(platform::open::open(config).await?);
            self.running = Some(Arc::clone(&platform));
            let serving = platform::serve(platform, listener, tls, stopped.clone());
            self.tasks.push(tokio::spawn(serving));
        }
        Ok(())
    }

    async fn open_gateway(
        &mut self,
        facility: &'static Facility,
        separate: bool,
        listener: TcpListener,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), Stop> {
        let file = self.founded.gateway_config(facility);
        let config = GatewayConfig::load(&file)?;
        let address = listener.local_addr()?;
        if separate {
            drop(listener);
            self.spawn("gateway", &file, address).await?;
        } else {
            // What outside programs do at their facility is not the page's to tell.
            let tap =
                (facility.code != SANDBOX.code).then(|| self.tap.line("gateway", facility.code));
            // With a rack, the readers are the operating system's.
            let hospital = match &self.rack {
                Some(_) => crate::hospital::open_tapped(&config, tap).await?,
                None => {
                    let cards = super::cards::reader(&self.founded.home, facility)?;
                    crate::hospital::open_with(&config, tap, cards).await?
                }
            };
            let router = crate::hospital::router(hospital);
            let serving = http::server::serve(listener, None, router, stopped.clone());
            self.tasks.push(tokio::spawn(serving));
        }
        self.doors.push(Door {
            facility,
            url: format!("http://{address}"),
            client: Client::new(&format!("http://{address}"), None, PATIENCE)?
                .tapped(self.tap.line("ehr", facility.code)),
            ehr_key: std::fs::read_to_string(&config.ehr_key)?.trim().to_owned(),
        });
        Ok(())
    }

    async fn open_service(&mut self, stopped: &watch::Receiver<bool>) -> Result<(), Stop> {
        let home = &self.founded.home;
        let mut crls = Vec::new();
        for file in papers::files(&home.join("crl"))? {
            crls.push(Crl::from_der(&std::fs::read(file)?)?);
        }
        let authorities = ["ca-jma.pem", "ca-jpa.pem", "ca-medis.pem"];
        let intermediates: Result<Vec<_>, _> =
            authorities.iter().map(|name| crate::verify::certificate(&home.join(name))).collect();
        let service = Service::open(Trust {
            anchors: vec![Anchor {
                certificate: crate::verify::certificate(&home.join("root.pem"))?,
            }],
            intermediates: intermediates?,
            crls,
            policies: vec![crate::policy(3)],
        })?;
        let listener = loopback().await?;
        let port = listener.local_addr()?.port();
        let tls = home.join("tls");
        let config = http::tls::server(
            &tls.join("platform.pem"),
            &tls.join("platform.key"),
            &tls.join("facility-ca.pem"),
        )?;
        let router = service::router(Arc::new(Mutex::new(service)));
        let serving = http::server::serve(listener, Some(config), router, stopped.clone());
        self.tasks.push(tokio::spawn(serving));
        self.service_url = format!("https://localhost:{port}");
        let trust = http::tls::client(&tls.join("facility-ca.pem"), None)?;
        self.service = Client::new(&self.service_url, Some(trust), PATIENCE)?
            .tapped(self.tap.line("service", ""));
        Ok(())
    }

    async fn open_network(
        &mut self,
        network: Network,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), Stop> {
        let listener = loopback().await?;
        let port = listener.local_addr()?.port();
        let platform = self.founded.client(None)?;
        let router = network::router(network, port, &self.founded, platform);
        self.network_url = format!("http://127.0.0.1:{port}");
        let serving = http::server::serve(listener, None, router, stopped.clone());
        self.tasks.push(tokio::spawn(serving));
        Ok(())
    }

    /// Starts a role of this same binary and waits until its door is open.
    async fn spawn(
        &mut self,
        role: &str,
        config: &Path,
        address: std::net::SocketAddr,
    ) -> Result<(), Stop> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(role)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        for _ in 0..500 {
            if let Some(status) = child.try_wait()? {
                return Err(
                    format!("{role} が起動できませんでした: {status} (it ended at once)").into()
                );
            }
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                self.children.push(child);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("{role} が {address} で開きませんでした (it did not open its door)").into())
    }

    /// The gateway's door of this facility.
    pub(crate) fn door(&self, facility: &Facility) -> Result<Door, Stop> {
        let found = self.doors.iter().find(|door| door.facility.code == facility.code);
        Ok(found.cloned().ok_or_else(|| format!("{} has no door", facility.code))?)
    }

    /// The platform in this process, if it is.
    pub(crate) fn running(&self) -> Option<&Arc<Platform>> {
        self.running.as_ref()
    }

    /// Closes everything, the platform last, and waits for it. Afterwards its folder is free.
    pub(crate) async fn close(&mut self) {
        let _ = self.stop.send(true);
        for child in &mut self.children {
            crate::runtime::terminate(child).await;
        }
        self.children.clear();
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        self.running = None;
        tracing::info!(at = %now().rfc3339(), "the town is closed");
    }
}

impl Founded {
    /// A client of the platform: as a phone, or as a facility with its certificate.
    pub(crate) fn client(&self, facility: Option<&Facility>) -> Result<Client, Stop> {
        let tls = self.home.join("tls");
        let identity: Option<(PathBuf, PathBuf)> = facility.map(|facility| {
            (tls.join(format!("{}.pem", facility.code)), tls.join(format!("{}.key", facility.code)))
        });
        let identity = identity.as_ref().map(|(file, key)| (file.as_path(), key.as_path()));
        let config = http::tls::client(&tls.join("facility-ca.pem"), identity)?;
        Ok(Client::new(&self.url, Some(config), PATIENCE)?)
    }
}
