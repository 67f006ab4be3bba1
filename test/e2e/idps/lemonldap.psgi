# LemonLDAP::NG's portal for starman, with the accounts of the test in its demonstration backend. LLNG_DEFAULTCONFFILE
# names the configuration, IDP_USERS the accounts, both written by lemonldap.mjs.
use strict;
use warnings;
use JSON ();
use Lemonldap::NG::Portal::Main;
use Lemonldap::NG::Portal::Auth::Demo;
use Lemonldap::NG::Portal::UserDB::Demo;
use Lemonldap::NG::Portal::Main::Constants qw(PE_OK PE_BADCREDENTIALS);

open my $file, '<', $ENV{IDP_USERS} or die "$ENV{IDP_USERS}: $!";
my $users = JSON::decode_json( do { local $/; <$file> } );

# The backend has three accounts of its own, whose passwords are their names.
my %password;
%Lemonldap::NG::Portal::UserDB::Demo::demoAccounts = ();
%Lemonldap::NG::Portal::UserDB::Demo::demoGroups   = ();
for my $user (@$users) {
    my $name = $user->{name};
    $password{$name} = $user->{password};
    $Lemonldap::NG::Portal::UserDB::Demo::demoAccounts{$name} =
      { uid => $name, %{ $user->{attributes} || {} } };
    push @{ $Lemonldap::NG::Portal::UserDB::Demo::demoGroups{$_} }, $name
      for @{ $user->{groups} || [] };
}

{
    no warnings 'redefine';
    *Lemonldap::NG::Portal::Auth::Demo::authenticate = sub {
        my ( $self, $req ) = @_;
        my $expected = $password{ $req->{user} };
        return PE_OK if defined $expected and $req->data->{password} eq $expected;
        $self->setSecurity($req);
        return PE_BADCREDENTIALS;
    };
}

Lemonldap::NG::Portal::Main->run( {} );
